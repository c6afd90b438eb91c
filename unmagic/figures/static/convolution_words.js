// What the convolution figure says: which pass takes what, the products of a cell, sizes by formula, what does not tile. No DOM.

import { format } from "./kit.js";
import { bigSide, linksOf } from "./convolution.js";

/** The passes: each takes two of the three places and makes the third. `value` names what solve() gives for a place. */
export const PASSES = {
	forward: { result: "y", value: { x: "x", w: "w", y: "y" }, title: "Forward", flow: "x, w → y" },
	input: { result: "x", value: { x: "dx", w: "w", y: "dy" }, title: "Backward to the input", flow: "∂L/∂x ← w, ∂L/∂y" },
	kernel: { result: "w", value: { x: "x", w: "dw", y: "dy" }, title: "Backward to the kernel", flow: "x → ∂L/∂w ← ∂L/∂y" },
};
const SYMBOLS = { x: "x", w: "w", y: "y", dx: "∂L/∂x", dw: "∂L/∂w", dy: "∂L/∂y" };
const SPOKEN = { x: "input", w: "weight", y: "output", dx: "gradient of input", dw: "gradient of weight", dy: "gradient of output" };

export const symbol = (view, grid) => SYMBOLS[PASSES[view].value[grid]];
export const named = (view, grid, [r, c]) => `${symbol(view, grid)}[${r}, ${c}]`;
const spoken = (view, grid, [r, c]) => `${SPOKEN[PASSES[view].value[grid]]} row ${r} column ${c}`;

/** "= " or "≈ " and a number in three digits. */
export const equals = (x) => `${Math.abs(Number(x.toPrecision(3)) - x) <= 1e-9 * Math.abs(x) ? "=" : "≈"} ${format(x)}`;
const factor = (x) => (x < 0 ? `(${format(x)})` : format(x));
const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** The two places whose product a link adds, in the order they are written. */
export const factors = (view) => ({ forward: ["w", "x"], input: ["w", "y"], kernel: ["x", "y"] })[view];

/** The products that a cell sums or takes part in: [{ link, values: [first, second], product, real }]; not real are those with padding. */
export function terms(solved, view, grid, cell) {
	const value = (place, link) => (place === "w" ? link.weight : (solved[PASSES[view].value[place]][link[place][0]]?.[link[place][1]] ?? 0));
	const [first, second] = factors(view);
	const winners = solved.settings.operation === "max_pooling" && !(view === "forward" && grid === "y");
	return linksOf(solved.links, grid, cell)
		.filter((link) => !winners || link.weight)
		.map((link) => {
			const values = [value(first, link), value(second, link)];
			return { link, values, product: values[0] * values[1], real: link.inside };
		});
}

/** What is said of a cell: { head, terms: [{ text, real, won }…], join, tail } for the eye and `aloud` for the ear. */
export function say(solved, view, grid, cell) {
	const all = terms(solved, view, grid, cell);
	const value = solved[PASSES[view].value[grid]][cell[0]][cell[1]];
	const said = (grid === PASSES[view].result ? saySum : sayWhere)(solved, view, grid, all, value);
	return { ...said, head: `${named(view, grid, cell)} ${said.head}`, aloud: `${spoken(view, grid, cell)}${said.aloud}.` };
}

/** A few of many, and how many more. */
const heard = (all, most, say) => [...all.slice(0, most).map(say), ...(all.length > most ? [plural(all.length - most, "more product")] : [])];

function saySum({ settings: { operation } }, view, grid, all, total) {
	const pooled = view === "forward" && operation.endsWith("pooling");
	const inputs = (some) => heard(some, 25, ({ values }) => format(values[1])).join(", ");
	if (pooled && operation === "max_pooling") {
		const seen = all.filter(({ real }) => real);
		const won = seen.filter(({ link }) => link.weight);
		return {
			head: "= max of",
			terms: seen.map(({ values, link }) => ({ text: format(values[1]), real: true, won: link.weight > 0 })),
			join: ", ",
			tail: `= ${format(total)}; the switch remembers x${won.map(({ link }) => `[${link.x.join(", ")}]`).join(" and ")}`,
			aloud: `: the largest of ${inputs(seen)} is ${format(total)}`,
		};
	}
	if (pooled) {
		const n = Math.round(1 / all[0].values[0]);
		const summed = all.map(({ values, real }) => ({ text: factor(values[1]), real }));
		return { head: `= 1/${n} of the sum of`, terms: summed, join: " + ", tail: equals(total), aloud: `: the mean of ${inputs(all)} is ${format(total)}` };
	}
	if (!all.length) {
		const why = operation === "max_pooling" ? "it is the largest of no window, so no gradient comes back" : "no output has seen it";
		return { head: "= 0:", terms: [], join: "", tail: why, aloud: `: 0, ${why}` };
	}
	const products = heard(all, 12, ({ values }) => values.map(format).join(" times ")).join(", plus ");
	const written = all.map(({ values, real }) => ({ text: values.map(factor).join("·"), real }));
	return { head: "=", terms: written, join: " + ", tail: equals(total), aloud: `: ${products}, is ${format(total)}` };
}

const REACHES = {
	forward: { x: (n) => `is seen by ${plural(n, "output")}:`, w: (n) => `is shared by ${plural(n, "output")}:` },
	input: { y: (n) => `goes back to ${plural(n, "input")}, to each times its weight:`, w: (n) => `carries ${plural(n, "gradient")} back:` },
	kernel: { x: (n) => `meets the gradients of ${plural(n, "output")}:`, y: (n) => `meets ${plural(n, "input")}, one for each weight:` },
};

function sayWhere({ settings }, view, grid, all, value) {
	const { result } = PASSES[view];
	const there = all.filter(({ real }) => real || result !== bigSide(settings));
	const lost = all.length - there.length;
	const wins = settings.operation === "max_pooling" && view === "forward";
	const reaches = wins ? `is the largest of ${plural(there.length, "window")}:` : REACHES[view][grid](there.length);
	const where = heard(there, 4, ({ link, product }) => `${format(product)} to ${spoken(view, result, link[result])}`).join(", ");
	return {
		head: `= ${format(value)} ${reaches}`,
		terms: there.map(({ link, values, real }) => ({ text: `${named(view, result, link[result])} += ${values.map(factor).join("·")}`, real })),
		join: "; ",
		tail: lost ? `(${lost} more beyond the edge: cut off)` : "",
		aloud: `, ${format(value)}, ${reaches} ${where}`,
	};
}

const IDEAS = {
	convolution: {
		forward: "The kernel lies on a window of the input: multiply cell by cell, and sum. Every output uses the same weights.",
		input: "Each output's gradient goes back to its window, times the weight it came by. So an input collects through the kernel turned by 180°.",
	},
	transposed_convolution: {
		forward: "Each input stamps the kernel, times its value, onto y; stamps that overlap add up. A convolution's backward pass, run forwards.",
		input: "Each input collects the gradients from where it stamped the kernel: an ordinary convolution of ∂L/∂y.",
	},
	max_pooling: {
		forward: "Each output is the largest input of its window. The switch (the ring) remembers which one that was.",
		input: "A gradient goes to the input that was the largest. Where windows overlap, an input may win several: their gradients add.",
	},
	average_pooling: {
		forward: "Each output is the mean of its window: a convolution whose weights are all the same.",
		input: "A gradient is shared evenly among its window. Where windows overlap, the shares add up.",
	},
};
const SHARED = "A weight is shared by all outputs, so its gradient sums over all of them: what it multiplied, times the gradient of what that went into.";

/** The pass in a sentence, and its formula with the present stride, dilation and padding. */
export function idea(view, settings) {
	const { operation, stride: s, padding: p, dilation: d } = settings;
	const index = (i, a) => `${s > 1 ? s : ""}${i} + ${d > 1 ? d : ""}${a}${p ? ` − ${p}` : ""}`;
	const [row, column] = [index("i", "a"), index("j", "b")];
	const big = bigSide(settings);
	const [B, S] = [symbol(view, big), symbol(view, big === "x" ? "y" : "x")];
	let formula = `${S}[i, j] = Σ w[a, b] · ${B}[${row}, ${column}]`;
	if (PASSES[view].result === big) formula = `${B}[r, c] = Σ w[a, b] · ${S}[i, j] over all ${row} = r and ${column} = c`;
	if (view === "kernel") formula = `∂L/∂w[a, b] = Σ ${B}[${row}, ${column}] · ${S}[i, j]`;
	return [IDEAS[operation][view] ?? SHARED, operation.endsWith("pooling") ? "" : formula];
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
	const { operation, stride, padding, dilation, ceil_mode } = settings;
	const never = Object.entries({ row: untouched(rows), column: untouched(columns) })
		.filter(([, indices]) => indices.length)
		.map(([what, indices]) => `${what}${indices.length > 1 ? "s" : ""} ${indices.join(", ")}`);
	if (operation === "transposed_convolution") {
		const stamps = ({ touched }) => touched.join(" ");
		const counts = `Weights that fall on each row of y: ${stamps(rows)}; on each column: ${stamps(columns)}.`;
		const uneven = ({ k }) => {
			const hits = new Array(stride).fill(0); // of weights, by where they fall between two inputs
			for (let a = 0; a < k; a++) hits[(a * dilation) % stride]++;
			return new Set(hits).size > 1;
		};
		return `${never.length ? `Never reached (hatched): ${never.join("; ")}. ` : ""}${counts}${uneven(rows) || uneven(columns) ? " They alternate: a checkerboard." : ""}`;
	}
	const over = [plural(rows.rest, "row"), plural(columns.rest, "column")].filter((words) => !words.startsWith("0")).join(" and ");
	const parts = [never.length ? `Never used (hatched): ${never.join("; ")}.` : "Every row and column of the input is used."];
	if (over) parts.unshift(`The stride does not tile: ${ceil_mode ? "the last window reaches over the edge" : `${over} of the ${padding ? "padded " : ""}input left over`}.`);
	if (operation === "convolution") {
		const back = `${rows.n - rows.rest} × ${columns.n - columns.rest}`;
		parts.push(`A transposed convolution with these numbers goes back from ${rows.out} × ${columns.out} to ${back}${over ? `, with output padding ${rows.rest}, ${columns.rest} to ${rows.n} × ${columns.n}` : ""}.`);
	}
	return parts.join(" ");
}

/** What was typed as a number: 3, −0.5, 1/9; null where it is none from −999 to 999. */
export function typed(text) {
	const parts = text.replaceAll("−", "-").replace(",", ".").split("/");
	const [top, bottom = 1] = parts.map((part) => (part.trim() ? Number(part) : NaN));
	return parts.length < 3 && Math.abs(top / bottom) <= 999 ? top / bottom : null;
}
