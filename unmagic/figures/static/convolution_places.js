// The three places of the convolution figure, x, w and y: what is drawn where, what a cell lights up elsewhere, and the grids themselves.

import { format, h } from "./kit.js";
import { bigSide, isPooling } from "./convolution.js";
import { factors, PASSES, terms } from "./convolution_words.js";

/** Whether this pass can be drawn as a convolution over the smaller side, spread out with zeros between and around. */
export const canSpread = ({ settings, rows, columns }, view) =>
	PASSES[view].result === bigSide(settings) && !isPooling(settings.operation) && Math.min(rows.reach, columns.reach) > settings.padding;

/**
 * Where x, w and y are drawn: { rows, columns, place([r, c]) → [R, C], index(R, C) → [r, c] or null }; the other cells are `filler`: "zero"
 * (padding) or "cut" (what falls there is lost).
 */
export function frames(solved, { view, grid, spread }) {
	const { settings, rows, columns } = solved;
	const { stride, padding: p, dilation: d } = settings;
	const big = bigSide(settings);
	const small = big === "x" ? "y" : "x";
	const toBig = PASSES[view].result === big;
	const frame = (height, width, place, index, filler = "zero") => ({ rows: height, columns: width, place, index, filler });
	const simple = (height, width) => frame(height, width, (at) => at, (r, c) => [r, c]);
	const real = (at, ...sides) => (at.every((k, axis) => Number.isInteger(k) && k >= 0 && k < sides[axis]) ? at : null);
	const drawn = {
		[big]: frame(
			rows.big + 2 * p,
			columns.big + 2 * p,
			([r, c]) => [r + p, c + p],
			(R, C) => real([R - p, C - p], rows.big, columns.big),
			toBig ? "cut" : "zero",
		),
		[small]: simple(rows.small, columns.small),
		w: simple(rows.k, columns.k),
	};
	if (spread && canSpread(solved, view)) {
		const [down, right] = [rows.reach - 1 - p, columns.reach - 1 - p];
		drawn[small] = frame(
			rows.big + rows.reach - 1,
			columns.big + columns.reach - 1,
			([i, j]) => [i * stride + down, j * stride + right],
			(R, C) => real([(R - down) / stride, (C - right) / stride], rows.small, columns.small),
		);
		drawn[small].window = ([r, c], [a, b]) => [r + (rows.k - 1 - a) * d, c + (columns.k - 1 - b) * d];
	}
	const turn = (a, b) => [rows.k - 1 - a, columns.k - 1 - b];
	if (toBig && grid === big && !isPooling(settings.operation)) Object.assign(drawn.w, { turned: true, place: ([a, b]) => turn(a, b), index: turn });
	return drawn;
}

/** What the cell lights up: { x, w, y }, each a Map from "R,C" to the tag of that cell, such as ×2 or +8. */
export function lit(solved, { view, grid, cell }, drawn) {
	const { result } = PASSES[view];
	const found = { x: new Map(), w: new Map(), y: new Map() };
	const put = (place, at, tag) => place !== grid && found[place].set(at.join(), tag);
	const [, operand] = factors(view);
	const largest = solved.settings.operation === "max_pooling" && view === "forward";
	for (const { link, values, product } of terms(solved, view, grid, cell)) {
		for (const place of ["x", "w", "y"]) {
			let tag = "";
			if (grid === result && place === operand && !largest) tag = `×${tiny(values[0])}`;
			if (grid !== result && place === result) tag = `+${tiny(product)}`.replace("+−", "−");
			put(place, drawn[place].place(link[place]), tag);
		}
	}
	const from = result === "x" ? "y" : "x";
	if (drawn[from].window && grid === result) {
		solved.w.forEach((row, a) => row.forEach((weight, b) => {
			put(from, drawn[from].window(cell, [a, b]), `×${tiny(weight)}`);
			put("w", drawn.w.place([a, b]), "");
		}));
	}
	return found;
}

/** A number for a small cell: two digits, "−0.11", "12". */
export function short(x) {
	if (Math.abs(x) < 0.005) return "0";
	return format(Math.abs(x) >= 100 ? Math.round(x) : Number(x.toPrecision(2)));
}

const tiny = (x) => short(x).replace("0.", ".");

/** One place: a heading and a grid of cells, which can be pointed at. */
export class Place {
	constructor(key) {
		this.key = key;
		this.title = h("span.title");
		this.role = h("span.role");
		this.cells = h("div.cells", { role: "grid" });
		this.root = h(`section.place.${key}`, { "data-grid": key }, h("p.head", this.title, this.role), this.cells);
		this.shape = "";
	}

	/** cells(R, C) gives { text, t (tint, −1 to 1), tag, names (of classes), label, at ("r,c" or ""), stop (whether Tab comes here) }. */
	show({ title, role, label, frame: { rows, columns, place, index }, cells }) {
		this.title.textContent = title;
		this.role.textContent = role;
		this.cells.setAttribute("aria-label", label);
		if (this.shape !== `${rows},${columns}`) this.build(rows, columns);
		const [R0, C0] = place([0, 0]);
		this.tops.forEach((top, C) => (top.textContent = index(R0, C)?.[1] ?? ""));
		for (let R = 0; R < rows; R++) {
			this.sides[R].textContent = index(R, C0)?.[0] ?? "";
			for (let C = 0; C < columns; C++) this.write(this.all[R][C], cells(R, C));
		}
	}

	build(rows, columns) {
		this.shape = `${rows},${columns}`;
		this.cells.style.setProperty("--columns", columns);
		const cell = () => {
			const [number, tag] = [h("b"), h("i", { "aria-hidden": "true" })];
			return { root: h("div.cell", { role: "gridcell" }, tag, number), number, tag };
		};
		const side = () => h("span.index", { "aria-hidden": "true" });
		this.all = Array.from({ length: rows }, () => Array.from({ length: columns }, cell));
		this.tops = Array.from({ length: columns }, side);
		this.sides = Array.from({ length: rows }, side);
		this.cells.replaceChildren(
			h("div.row", { "aria-hidden": "true" }, side(), ...this.tops),
			...this.all.map((row, R) => h("div.row", { role: "row" }, this.sides[R], ...row.map(({ root }) => root))),
		);
	}

	write(cell, now) {
		const { text, t, tag, names, label, at, stop } = now;
		const key = JSON.stringify(now);
		if (cell.key === key) return;
		cell.key = key;
		cell.number.textContent = text;
		cell.tag.textContent = tag;
		cell.root.className = `cell ${names}${text.length > 3 ? " long" : ""}`;
		cell.root.style.setProperty("--t", `${Math.round(Math.abs(t) * 42)}%`);
		cell.root.setAttribute("aria-label", label);
		for (const [name, value] of [["data-at", at], ["tabindex", stop ? 0 : -1]]) {
			if (at) cell.root.setAttribute(name, value);
			else cell.root.removeAttribute(name);
		}
		cell.root.setAttribute("aria-selected", names.includes("chosen"));
	}

	/** The element of a cell of data, [r, c]. */
	element([r, c]) {
		return this.cells.querySelector(`[data-at="${r},${c}"]`);
	}
}
