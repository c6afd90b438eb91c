// Bars layer beside layer, memory as stacked bars, and a picture with what one place of a layer sees of it.

import { line, steps } from "./kit.js";
import { bytes } from "./budgets_words.js";
import { placeAt } from "./budgets_layers.js";

const FONT = "12px system-ui, sans-serif";
const LEFT = 58; // for the labels of the axis
const RIGHT = 6;
const FINEST = 256; // pixels
const MARGIN = 0.09; // around the picture, of the canvas: room for padding that is seen

/** The bar under the pointer: its place from 0. */
export const barUnder = (x, width, n) => Math.max(0, Math.min(n - 1, Math.floor(((x - LEFT) / (width - LEFT - RIGHT)) * n)));

/** One scale for all bars: { low, high, log }; with `log` powers of ten. A value of null counts as `all`. */
export function scaleOf(lists, log) {
	const values = lists.flat().filter((x) => x > 0);
	const high = Math.max(1, ...values);
	if (!log) return { low: 0, high, log };
	const top = Math.ceil(Math.log10(high));
	const bottom = Math.floor(Math.log10(Math.min(high, ...values)));
	return { low: Math.min(bottom, top - 1), high: top, log };
}

/** How much of the height a bar of x has, 0 … 1. */
export const heightOf = ({ low, high, log }, x) => (x > 0 ? ((log ? Math.log10(x) : x) - low) / (high - low) : 0);

/** The values of the grid. */
export function gridOf({ low, high, log }) {
	if (!log) {
		const step = steps(high, 4);
		return Array.from({ length: Math.floor(high / step) + 1 }, (_, k) => k * step);
	}
	const every = Math.ceil((high - low) / 5);
	return Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, k) => 10 ** (low + k * every));
}

/** Bars of one net. values: numbers, or null for what sees all, drawn as `all` and pale. chosen: place from 0. */
export function drawBars(g, { width, height }, values, { scale, chosen, all, tick }, colour, ink) {
	const [top, bottom] = [8, height - 20];
	const column = (width - LEFT - RIGHT) / values.length;
	g.font = FONT;
	g.fillStyle = ink.panel;
	g.fillRect(LEFT + chosen * column - 2, 0, column + 4, height);
	g.strokeStyle = ink.grid;
	g.fillStyle = ink.faint;
	g.textAlign = "right";
	g.textBaseline = "middle";
	g.lineWidth = 1;
	for (const value of gridOf(scale)) {
		const y = bottom - (value ? heightOf(scale, value) : 0) * (bottom - top);
		line(g, LEFT, y, width - RIGHT, y);
		g.fillText(tick(value), LEFT - 6, Math.max(7, y));
	}
	const gap = column > 5 ? 1 : 0;
	values.forEach((value, k) => {
		const part = heightOf(scale, value ?? all);
		if (!(part >= 0) || (value ?? all) <= 0) return;
		const tall = Math.max(2, part * (bottom - top));
		g.globalAlpha = value === null ? 0.45 : 1;
		g.fillStyle = ink[colour];
		g.fillRect(LEFT + k * column + gap / 2, bottom - tall, Math.max(1, column - gap), tall);
	});
	g.globalAlpha = 1;
	g.textBaseline = "bottom";
	g.textAlign = "center";
	const place = (k) => Math.max(LEFT + 4, Math.min(width - RIGHT - 8, LEFT + (k + 0.5) * column));
	g.fillStyle = ink.faint;
	for (const k of [0, values.length - 1]) if (Math.abs(place(k) - place(chosen)) > 26) g.fillText(String(k + 1), place(k), height - 2);
	g.fillStyle = ink.ink;
	g.font = `600 ${FONT}`;
	g.fillText(String(chosen + 1), place(chosen), height - 2);
	g.beginPath();
	g.moveTo(place(chosen) - 4, bottom + 5);
	g.lineTo(place(chosen) + 4, bottom + 5);
	g.lineTo(place(chosen), bottom + 1);
	g.fill();
}

/** What memory is for, and the colour of each. */
export const PARTS = {
	weights: { label: "weights", colour: "ink" },
	gradients: { label: "their gradients", colour: "edge" },
	momentum: { label: "momentum", colour: "momentum" },
	activations: { label: "activations", colour: "minibatch" },
};

/** Stacked bars on one scale. bars: [{ label, parts: [[part, bytes]…] }…]. */
export function drawMemory(g, { width, height }, bars, ink) {
	const most = Math.max(...bars.map(({ parts }) => parts.reduce((sum, [, x]) => sum + x, 0)));
	const row = (height - 20) / bars.length;
	g.font = FONT;
	g.textBaseline = "middle";
	const left = Math.min(width * 0.45, 10 + Math.max(...bars.map(({ label }) => g.measureText(label).width)));
	const x = (value) => left + (value / most) * (width - left - 12);
	g.strokeStyle = ink.grid;
	g.lineWidth = 1;
	g.textAlign = "center";
	g.fillStyle = ink.faint;
	const step = steps(most, width > 420 ? 5 : 2.4);
	for (let value = 0; value <= most; value += step) {
		line(g, x(value), 0, x(value), height - 18);
		g.fillText(bytes(value), Math.min(x(value), width - 24), height - 8);
	}
	bars.forEach(({ label, parts }, k) => {
		g.textAlign = "left";
		g.fillStyle = ink.ink;
		g.fillText(label, 0, (k + 0.5) * row, left - 8);
		let from = 0;
		for (const [part, value] of parts) {
			g.fillStyle = ink[PARTS[part].colour];
			g.fillRect(x(from), (k + 0.18) * row, Math.max(0, x(from + value) - x(from) - 1), row * 0.64);
			from += value;
		}
	});
}

/** The pixels of an input's picture; more than these nobody sees at that size. */
export function pictureSize(input) {
	const by = Math.min(1, FINEST / Math.max(...input));
	return input.map((n) => Math.max(1, Math.round(n * by)));
}

/** A drawn scene as a picture of so many pixels, which it shows: sky, sun, hills, a house, a tree, a path. */
export function scene([height, width], ink) {
	const canvas = document.createElement("canvas");
	[canvas.width, canvas.height] = [width, height];
	const g = canvas.getContext("2d");
	g.scale(width, height);
	const shape = (colour, ...points) => {
		g.fillStyle = colour;
		g.beginPath();
		points.forEach(([x, y], k) => g[k ? "lineTo" : "moveTo"](x, y));
		g.fill();
	};
	const disc = (colour, x, y, r) => {
		g.fillStyle = colour;
		g.beginPath();
		g.arc(x, y, r, 0, 7);
		g.fill();
	};
	const sky = g.createLinearGradient(0, 0, 0, 0.7);
	sky.addColorStop(0, "#5b93c9");
	sky.addColorStop(1, "#d4e6ee");
	g.fillStyle = sky;
	g.fillRect(0, 0, 1, 1);
	disc("#f6d868", 0.8, 0.18, 0.08);
	shape("#7fa2a8", [0, 0.58], [0.22, 0.34], [0.42, 0.55], [0.62, 0.4], [1, 0.62], [1, 1], [0, 1]);
	disc("#7d9f63", 0.15, 1.35, 0.8);
	disc("#92b06c", 0.95, 1.45, 0.85);
	shape("#d9c7a0", [0.46, 0.76], [0.52, 0.76], [0.68, 1], [0.36, 1]);
	shape("#e9dfcd", [0.34, 0.5], [0.64, 0.5], [0.64, 0.76], [0.34, 0.76]);
	shape("#a5523d", [0.3, 0.51], [0.49, 0.34], [0.68, 0.51]);
	shape("#5d4433", [0.46, 0.62], [0.53, 0.62], [0.53, 0.76], [0.46, 0.76]);
	for (const x of [0.37, 0.56]) shape("#4f6f8c", [x, 0.56], [x + 0.06, 0.56], [x + 0.06, 0.63], [x, 0.63]);
	shape("#6b4d36", [0.8, 0.62], [0.84, 0.62], [0.84, 0.82], [0.8, 0.82]);
	for (const [x, y, r] of [[0.82, 0.55, 0.1], [0.76, 0.6, 0.07], [0.88, 0.61, 0.07]]) disc("#4d7a4a", x, y, r);
	if (ink.dark) shape("rgba(0, 0, 0, 0.25)", [0, 0], [1, 0], [1, 1], [0, 1]);
	return canvas;
}

/** The picture's corner and scale on a canvas: { left, top, by } in CSS pixels, `by` for each pixel of the picture. */
export function frame({ width, height }, [rows, columns]) {
	const by = ((1 - 2 * MARGIN) * Math.min(width, height)) / Math.max(rows, columns);
	return { left: (width - columns * by) / 2, top: (height - rows * by) / 2, by };
}

/** The picture, where the places of a row look, and what the one at `place` ([x, y], 0 … 1) sees. Returns that one's middle in CSS pixels. */
export function drawPicture(g, size, picture, [rows, columns], { sees, places }, place, colour, ink) {
	const { left, top, by } = frame(size, [rows, columns]);
	g.fillStyle = ink.panel;
	g.fillRect(0, 0, size.width, size.height);
	g.imageSmoothingEnabled = false;
	g.drawImage(picture, left, top, columns * by, rows * by);
	const box = (x, y, w, h_, look, wide, dash = []) => {
		g.setLineDash(dash);
		g.strokeStyle = look;
		g.lineWidth = wide;
		g.strokeRect(x, y, w, h_);
		g.setLineDash([]);
	};
	if (!sees) {
		box(left, top, columns * by, rows * by, ink.paper, 6);
		box(left, top, columns * by, rows * by, ink[colour], 3);
		return [left + (columns * by) / 2, top + (rows * by) / 2];
	}
	const [down, across] = places ?? [1, 1];
	const x = placeAt(sees, across, columns, place[0]);
	const y = placeAt(sees, down, rows, place[1]);
	const wide = sees.side * by;
	const [px, py] = [left + x.from * by, top + y.from * by];
	// what it does not see is dimmed
	g.fillStyle = ink.dark ? "rgba(0, 0, 0, 0.5)" : "rgba(255, 255, 255, 0.55)";
	g.beginPath();
	g.rect(left, top, columns * by, rows * by);
	g.rect(px, py, wide, wide);
	g.save();
	g.clip("evenodd");
	g.fillRect(left, top, columns * by, rows * by);
	g.restore();
	const apart = sees.step * by;
	if (apart >= 7) {
		const middle = (first, k) => (first + k * sees.step + sees.side / 2) * by;
		for (let r = 0; r < down; r++) {
			for (let c = 0; c < across; c++) {
				g.fillStyle = ink.paper;
				g.fillRect(left + middle(sees.first, c) - 2, top + middle(sees.first, r) - 2, 4, 4);
				g.fillStyle = ink.ink;
				g.fillRect(left + middle(sees.first, c) - 1, top + middle(sees.first, r) - 1, 2, 2);
			}
		}
	}
	box(left, top, columns * by, rows * by, ink.edge, 1);
	// where it ends outside of what is drawn, the edge stands for it
	const cut = (at, most) => Math.max(2, Math.min(most - 2, at));
	const [x0, y0, x1, y1] = [cut(px, size.width), cut(py, size.height), cut(px + wide, size.width), cut(py + wide, size.height)];
	box(x0, y0, x1 - x0, y1 - y0, ink.paper, 5);
	box(x0, y0, x1 - x0, y1 - y0, ink[colour], 2.5);
	if (wide < 8) box(px - 5, py - 5, wide + 10, wide + 10, ink[colour], 1.5, [3, 2]); // too small to be seen: a ring around it
	return [px + wide / 2, py + wide / 2];
}
