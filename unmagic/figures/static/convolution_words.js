// What the convolution figure says: which pass takes what, the products of a cell, sizes by formula, what does not tile. No DOM.

import { format } from "./kit.js";
import { linksOf } from "./convolution.js";

/** The passes: each takes two of the three places and makes the third. `value` names what solve() gives for a place. */
export const PASSES = {
	forward: { result: "y", value: { x: "x", w: "w", y: "y" }, title: "Forward: y" },
	input: { result: "x", value: { x: "dx", w: "w", y: "dy" }, title: "Backward: ∂L/∂x" },
	kernel: { result: "w", value: { x: "x", w: "dw", y: "dy" }, title: "Backward: ∂L/∂w" },
};
const SYMBOLS = { x: "x", w: "w", y: "y", dx: "∂L/∂x", dw: "∂L/∂w", dy: "∂L/∂y" };
const SPOKEN = { x: "input", w: "weight", y: "output", dx: "gradient of input", dw: "gradient of weight", dy: "gradient of output" };

export const symbol = (view, grid) => SYMBOLS[PASSES[view].value[grid]];
export const named = (view, grid, [r, c]) => `${symbol(view, grid)}[${r}, ${c}]`;
const spoken = (view, grid, [r, c]) => `${SPOKEN[PASSES[view].value[grid]]} row ${r} column ${c}`;

/** "= " or "≈ " and a number in three digits. */
export const equals = (x) => `${Math.abs(Number(x.toPrecision(3)) - x) < 1e-9 * Math.abs(x) ? "=" : "≈"} ${format(x)}`;
const factor = (x) => (x < 0 ? `(${format(x)})` : format(x));
const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** The two places whose product a link adds, in the order they are written. */
export const factors = (view) => ({ forward: ["w", "x"], input: ["w", "y"], kernel: ["x", "y"] })[view];

/**
 * The products that a cell sums (of the result) or takes part in (of what is given): [{ link, values: [first, second], product, real }].
 * Of max pooling only the links that carry something; not real is a product with padding.
 */
export function terms(solved, view, grid, cell) {
	const value = (place, link) => (place === "w" ? link.weight : (solved[PASSES[view].value[place]][link[place][0]]?.[link[place][1]] ?? 0));
	const [first, second] = factors(view);
	const winners = solved.settings.operation === "max_pooling" && !(view === "forward" && grid === "y");
	return linksOf(solved.links, grid, cell)
		.filter((link) => (winners ? link.weight !== 0 : true))
		.map((link) => {
			const values = [value(first, link), value(second, link)];
			return { link, values, product: values[0] * values[1], real: link.inside };
		});
}

/** What is said of a cell: { head, terms: [text…], tail, marks } for the eye and `aloud` for the ear. */
export function say(solved, view, grid, cell) {
	const { result } = PASSES[view];
	const all = terms(solved, view, grid, cell);
	const shown = solved[PASSES[view].value[grid]]?.[cell[0]]?.[cell[1]] ?? 0;
	const said = grid === result ? saySum(solved, view, grid, cell, all, shown) : sayWhere(solved, view, grid, cell, all, shown);
	return { ...said, head: `${named(view, grid, cell)} ${said.head}` };
}

function saySum({ settings }, view, grid, cell, all, total) {
	const { operation } = settings;
	const ear = spoken(view, grid, cell);
	const written = all.map(({ values, real }) => ({ text: values.map(factor).join("·"), real }));
	const tail = equals(total);
	if (view === "forward" && operation === "max_pooling") {
		const inputs = all.filter(({ real }) => real);
		const won = all.filter(({ link }) => link.weight > 0);
		const where = won.map(({ link }) => `[${link.x.join(", ")}]`).join(" and ");
		return {
			head: "= max of",
			terms: inputs.map(({ values, link }) => ({ text: format(values[1]), real: true, won: link.weight > 0 })),
			tail: `= ${format(total)}; the switch remembers x${where}`,
			join: ", ",
			aloud: `${ear}: the largest of ${inputs.map(({ values }) => format(values[1])).join(", ")} is ${format(total)}.`,
		};
	}
	if (view === "forward" && operation === "average_pooling") {
		const n = Math.round(1 / all[0].values[0]);
		return {
			head: `= 1/${n} of the sum of`,
			terms: all.map(({ values, real }) => ({ text: factor(values[1]), real })),
			tail,
			join: " + ",
			aloud: `${ear}: the mean of ${n} inputs, ${all.map(({ values }) => format(values[1])).join(", ")}, is ${format(total)}.`,
		};
	}
	if (!all.length) {
		const why = operation === "max_pooling" ? "it is the largest of no window, so no gradient comes back" : "no output has seen it";
		return { head: "= 0:", terms: [], tail: why, join: "", aloud: `${ear}: 0, ${why}.` };
	}
	const most = 12;
	const heard = all.slice(0, most).map(({ values }) => `${format(values[0])} times ${format(values[1])}`);
	if (all.length > most) heard.push(`${plural(all.length - most, "more product")}`);
	return { head: "=", terms: written, tail, join: " + ", aloud: `${ear}: ${heard.join(", plus ")}, is ${format(total)}.` };
}

const REACHES = {
	forward: { x: (n) => `is seen by ${plural(n, "output")}:`, w: (n) => `is shared: it takes part in ${plural(n, "output")}:` },
	input: { y: (n) => `goes back to ${plural(n, "input")}, to each times its weight:`, w: (n) => `carries ${plural(n, "gradient")} back:` },
	kernel: { x: (n) => `meets the gradients of ${plural(n, "output")}:`, y: (n) => `meets ${plural(n, "input")}, one for each weight:` },
};

function sayWhere({ settings }, view, grid, cell, all, value) {
	const { result } = PASSES[view];
	const there = all.filter(({ link, real }) => real || result === "w" || (result === "y" && settings.operation !== "transposed_convolution" && grid !== "w"));
	const lost = all.filter(({ real }) => !real).length;
	const reaches = REACHES[view][grid](there.length);
	const most = 4;
	const heard = there.slice(0, most).map(({ link, product }) => `${format(product)} to ${spoken(view, result, link[result])}`);
	if (there.length > most) heard.push(`and ${there.length - most} more`);
	const cut = lost && result !== "w" && there.length < all.length ? ` ${plural(lost, "product")} with the padding ${lost === 1 ? "is" : "are"} 0 or cut off.` : "";
	return {
		head: `= ${format(value)} ${reaches}`,
		terms: there.map(({ link, values, product, real }) => ({ text: `${named(view, result, link[result])} += ${values.map(factor).join("·")}`, real, product })),
		tail: cut,
		join: ";  ",
		aloud: `${spoken(view, grid, cell)}, ${format(value)}, ${reaches} ${heard.join(", ")}.`,
	};
}

/** The pass in a sentence, and its formula with the present stride, dilation and padding. */
export function idea(view, { operation, stride: s, padding: p, dilation: d }) {
	const index = (i, a) => `${s > 1 ? `${s}` : ""}${i} + ${d > 1 ? `${d}` : ""}${a}${p ? ` − ${p}` : ""}`;
	const far = `${index("i", "a")}, ${index("j", "b")}`;
	const where = `${index("i", "a")} = r and ${index("j", "b")} = c`;
	if (operation === "max_pooling") {
		return view === "forward"
			? ["Each output is the largest input of its window. The switch (the ring) remembers which one that was.", ""]
			: ["An output's gradient goes whole to the input that was the largest. Where windows overlap, the gradients of all that an input won add up.", ""];
	}
	if (operation === "average_pooling") {
		return view === "forward"
			? ["Each output is the mean of its window: a convolution whose weights are all the same.", ""]
			: ["An output's gradient is shared evenly among its window. Where windows overlap, the shares add up.", ""];
	}
	const transposed = operation === "transposed_convolution";
	return {
		forward: transposed
			? ["Each input stamps the kernel, times its value, onto y. Where the stamps overlap they add up. It is a convolution's backward pass, run forwards.", `y[r, c] = Σ x[i, j] · w[a, b]  over all ${where}`]
			: ["The kernel lies on a window of the input: multiply cell by cell, and sum. Every output uses the same weights.", `y[i, j] = Σ w[a, b] · x[${far}]`],
		input: transposed
			? ["Each input collects the gradients from where it stamped the kernel: an ordinary convolution of ∂L/∂y.", `∂L/∂x[i, j] = Σ w[a, b] · ∂L/∂y[${far}]`]
			: ["Each output's gradient goes back to the inputs of its window, times the weight it came by. So an input collects through the kernel turned by 180°.", `∂L/∂x[r, c] = Σ w[a, b] · ∂L/∂y[i, j]  over all ${where}`],
		kernel: [
			"A weight is shared by all outputs, so its gradient is a sum over all of them: what it multiplied, times the gradient of what it went into.",
			transposed ? `∂L/∂w[a, b] = Σ x[i, j] · ∂L/∂y[${far}]` : `∂L/∂w[a, b] = Σ x[${far}] · ∂L/∂y[i, j]`,
		],
	}[view];
}

/** The formula of the size, and with the present numbers for rows and columns (one line where they are the same). */
export function sizes({ settings, rows, columns }) {
	const { operation, stride: s, padding: p, dilation: d, output_padding: o, ceil_mode } = settings;
	const [open, close] = ceil_mode ? ["⌈", "⌉"] : ["⌊", "⌋"];
	const transposed = operation === "transposed_convolution";
	const general = transposed ? "out = (n − 1)·s − 2p + d(k − 1) + 1 + o" : `out = ${open}(n + 2p − d(k − 1) − 1) / s${close} + 1`;
	const line = ({ n, k, room, out, reach }) => {
		if (transposed) return `(${n} − 1)·${s} − 2·${p} + ${d}·(${k} − 1) + 1 + ${o} = ${out}`;
		const whole = Math[ceil_mode ? "ceil" : "floor"](room / s) + 1;
		const dropped = whole > out && out > 0 ? `, less 1 whose window would start beyond the input: ${out}` : "";
		return `${open}(${n} + 2·${p} − ${d}·(${k} − 1) − 1) / ${s}${close} + 1 = ${open}${room}/${s}${close} + 1 = ${whole}${dropped}`.replaceAll("-", "−");
	};
	const lines = [line(rows), line(columns)];
	return [general, ...(lines[0] === lines[1] ? [`Rows and columns: ${lines[0]}`] : [`Rows: ${lines[0]}`, `Columns: ${lines[1]}`])];
}

const untouched = ({ touched }) => touched.flatMap((n, k) => (n ? [] : [k]));

/** Which rows and columns of the larger side no kernel or window ever touches: { rows: [index…], columns: […] }. */
export const unused = ({ rows, columns }) => ({ rows: untouched(rows), columns: untouched(columns) });

/** What does not tile, in a sentence or two. */
export function tiling({ settings, rows, columns }) {
	const { operation, stride, padding, ceil_mode } = settings;
	const never = Object.entries({ row: untouched(rows), column: untouched(columns) })
		.filter(([, indices]) => indices.length)
		.map(([what, indices]) => `${what}${indices.length > 1 ? "s" : ""} ${indices.join(", ")}`);
	if (operation === "transposed_convolution") {
		const stamps = ({ touched }) => touched.join(" ");
		const counts = `Weights that fall on each row of y: ${stamps(rows)}; on each column: ${stamps(columns)}.`;
		const uneven = rows.k % stride || columns.k % stride ? " The stride does not divide the kernel's size, so they alternate: a checkerboard." : "";
		return never.length ? `Never reached (hatched), so always 0: ${never.join("; ")}. ${counts}` : counts + uneven;
	}
	const parts = [];
	const over = [["row", rows.rest], ["column", columns.rest]].filter(([, rest]) => rest);
	if (over.length && ceil_mode) parts.push("The stride does not tile: the last window reaches over the edge.");
	else if (over.length) parts.push(`The stride does not tile: ${over.map(([what, rest]) => plural(rest, what)).join(" and ")} of the ${padding ? "padded " : ""}input ${over.length + over[0][1] > 2 ? "are" : "is"} left over.`);
	parts.push(never.length ? `Never used (hatched): ${never.join("; ")}.` : "Every row and column of the input is used.");
	if (operation === "convolution") {
		const back = ({ n, rest }) => n - rest;
		const sides = back(rows) === back(columns) && rows.n === columns.n ? [[rows, "side"]] : [[rows, "height"], [columns, "width"]];
		const ways = sides.map(([axis, name]) => `${name} ${axis.out} → ${back(axis)}${axis.rest ? ` (${axis.n} with output padding ${axis.rest})` : ""}`);
		parts.push(`Back by a transposed convolution with these numbers: ${ways.join(", ")}.`);
	}
	return parts.join(" ");
}

/** What was typed as a number: 3, −0.5, 1/9; null where it is none, or none from −999 to 999. */
export function typed(text) {
	const words = text.trim().replaceAll("−", "-").replace(",", ".");
	const [, top, bottom = "1"] = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:\/(\d+\.?\d*))?$/.exec(words) ?? [];
	const value = Number(top) / Number(bottom);
	return Number.isFinite(value) && Math.abs(value) <= 999 ? value : null;
}
