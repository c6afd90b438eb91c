// The three places of the convolution figure, x, w and y: what is drawn where, what a cell lights up elsewhere, and the grids themselves.

import { format, h } from "./kit.js";
import { isPooling, linksOf } from "./convolution.js";
import { factors, PASSES } from "./convolution_words.js";

/** Whether this pass can be drawn as a convolution over the smaller side, spread out with zeros between and around. */
export const canSpread = ({ settings, rows, columns }, view) =>
	PASSES[view].result === bigSide(settings) && !isPooling(settings.operation) && Math.min(rows.reach, columns.reach) > settings.padding;

const bigSide = ({ operation }) => (operation === "transposed_convolution" ? "y" : "x");

/**
 * Where each cell of x, w and y is drawn: { rows, columns, place(index) → [R, C], index(R, C) → [r, c] or null }, and `filler`, what the
 * other cells are: "zero" (padding), or "cut" (what falls there is lost).
 */
export function frames(solved, { view, grid, spread }) {
	const { settings, rows, columns } = solved;
	const { stride, padding: p, dilation: d } = settings;
	const big = bigSide(settings);
	const small = big === "x" ? "y" : "x";
	const toBig = PASSES[view].result === big;
	const frame = (height, width, place, index, filler = "zero") => ({ rows: height, columns: width, place, index, filler });
	const simple = (height, width) => frame(height, width, (at) => at, (r, c) => [r, c]);
	const ringed = (n) => n + 2 * p;
	const within = (r, n) => r >= 0 && r < n;
	const drawn = {
		[big]: frame(
			ringed(rows.big),
			ringed(columns.big),
			([r, c]) => [r + p, c + p],
			(R, C) => (within(R - p, rows.big) && within(C - p, columns.big) ? [R - p, C - p] : null),
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
			(R, C) => {
				const [i, j] = [(R - down) / stride, (C - right) / stride];
				return [i, j].every(Number.isInteger) && within(i, rows.small) && within(j, columns.small) ? [i, j] : null;
			},
		);
		drawn[small].window = ([r, c], [a, b]) => [r + (rows.k - 1 - a) * d, c + (columns.k - 1 - b) * d];
	}
	if (toBig && grid === big && !isPooling(settings.operation)) {
		const turn = (a, b) => [rows.k - 1 - a, columns.k - 1 - b];
		drawn.w = { ...drawn.w, turned: true, place: ([a, b]) => turn(a, b), index: turn };
	}
	return drawn;
}

/** What the cell lights up: { x, w, y }, each a Map from "R,C" to the tag of that cell, such as ×2 or +8. */
export function lit(solved, { view, grid, cell }, drawn, values) {
	const { result } = PASSES[view];
	const found = { x: new Map(), w: new Map(), y: new Map() };
	const put = (place, at, tag) => found[place].set(at.join(), tag);
	const [first, second] = factors(view);
	const value = (place, link) => (place === "w" ? link.weight : (values[place][link[place][0]]?.[link[place][1]] ?? 0));
	const maximum = solved.settings.operation === "max_pooling";
	for (const link of linksOf(solved.links, grid, cell)) {
		for (const place of ["x", "w", "y"]) {
			if (place === grid) continue;
			let tag = "";
			if (grid === result && place === second && !(maximum && view === "forward")) tag = `×${short(value(first, link))}`;
			if (grid !== result && place === result && (link.weight || !maximum)) tag = `+${short(value(first, link) * value(second, link))}`.replace("+−", "−");
			if (maximum && place !== "w" && !link.weight && !(view === "forward" && grid === "y")) continue;
			put(place, drawn[place].place(link[place]), tag);
		}
	}
	const other = result === "x" ? "y" : "x";
	if (drawn[other].window && grid === result) {
		solved.w.forEach((row, a) => row.forEach((weight, b) => {
			put(other, drawn[other].window(cell, [a, b]), `×${short(weight)}`);
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

/** One place: a heading and a grid of cells, which can be pointed at. */
export class Place {
	constructor(key) {
		this.key = key;
		this.title = h("span.title");
		this.role = h("span.role");
		this.cells = h("div.cells", { role: "grid" });
		this.root = h(`section.place.${key}`, h("p.head", this.title, this.role), this.cells);
		this.shape = "";
	}

	/** cells(R, C) gives { text, t (tint, −1 to 1), tag, names (of classes), label, at ("r,c" or ""), stop (whether Tab comes here) }. */
	show({ title, role, label, rows, columns, index, cells }) {
		this.title.textContent = title;
		this.role.textContent = role;
		this.cells.setAttribute("aria-label", label);
		if (this.shape !== `${rows},${columns}`) this.build(rows, columns);
		for (let C = 0; C < columns; C++) this.tops[C].textContent = this.label(rows, (R) => index(R, C)?.[1]);
		for (let R = 0; R < rows; R++) {
			this.sides[R].textContent = this.label(columns, (C) => index(R, C)?.[0]);
			for (let C = 0; C < columns; C++) this.write(this.all[R][C], cells(R, C));
		}
	}

	/** A line's index: that of its first cell that has one. */
	label(length, of) {
		for (let k = 0; k < length; k++) if (of(k) !== undefined) return String(of(k));
		return "";
	}

	build(rows, columns) {
		this.shape = `${rows},${columns}`;
		this.cells.style.setProperty("--columns", columns);
		const cell = () => {
			const [number, tag] = [h("b"), h("i", { "aria-hidden": "true" })];
			return { root: h("div.cell", { role: "gridcell" }, number, tag), number, tag };
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
		const key = `${text}|${t}|${tag}|${names}|${label}|${at}|${stop}`;
		if (cell.key === key) return;
		cell.key = key;
		cell.number.textContent = text;
		cell.tag.textContent = tag;
		cell.root.className = `cell ${names}${text.length > 3 ? " long" : ""}`;
		cell.root.style.setProperty("--t", `${Math.round(Math.abs(t) * 42)}%`);
		cell.root.setAttribute("aria-label", label);
		if (at) cell.root.dataset.at = at;
		else delete cell.root.dataset.at;
		if (at) cell.root.tabIndex = stop ? 0 : -1;
		else cell.root.removeAttribute("tabindex");
		cell.root.setAttribute("aria-selected", names.includes("chosen"));
	}

	/** The element of a cell of data, [r, c]. */
	element([r, c]) {
		return this.cells.querySelector(`[data-at="${r},${c}"]`);
	}
}
