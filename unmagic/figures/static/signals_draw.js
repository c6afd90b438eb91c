// Histograms layer beside layer, standard deviations on a log scale, and one layer's histogram.

import { format, line, power } from "./kit.js";
import { histogram } from "./signals.js";

export const BINS = 45;
const FONT = "12px system-ui, sans-serif";
const LEFT = 56; // for the labels of the axis; the same everywhere, so that layers stand below each other
const RIGHT = 8;

/** The three curves: told apart by colour and by dash. */
export const CURVES = {
	activations: { label: "activations h", colour: "activations", dash: [] },
	unitGradients: { label: "gradients of units, ∂J/∂h", colour: "unit-gradients", dash: [9, 4] },
	weightGradients: { label: "gradients of weights, ∂J/∂W", colour: "weight-gradients", dash: [2, 3] },
};

/** Where layer l of L stands: x(l) in the middle of its column of width `column`; layer(x) back again. */
export function columns(width, L) {
	const column = (width - LEFT - RIGHT) / L;
	return { column, x: (l) => LEFT + (l - 0.5) * column, layer: (x) => Math.max(1, Math.min(L, Math.ceil((x - LEFT) / column))) };
}

const rms = (mean, deviation) => Math.hypot(mean, deviation);

/** [low, high] that shows nearly all activations of a layer. */
export function activationRange(activation, mean, deviation) {
	const wide = 3.5 * deviation || 1e-300;
	if (activation === "relu") return [0, 3.5 * rms(mean, deviation) || 1e-300];
	if (activation === "leaky_relu") return [-0.1 * wide, 3.5 * rms(mean, deviation)];
	const [low, high] = { tanh: [-1, 1], sigmoid: [0, 1], linear: [-Infinity, Infinity] }[activation];
	return [Math.max(low, mean - wide), Math.min(high, mean + wide)];
}

/** The range that all layers share: all that φ can give where it is bounded, else what the widest layer needs. */
export function sharedRange(activation, ranges) {
	if (activation === "tanh") return [-1, 1];
	if (activation === "sigmoid") return [0, 1];
	return [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))];
}

/** [counts, largest count] of values in their range; a bin full of exact zeros does not set the scale. */
export function bars(values, [low, high]) {
	const counts = histogram(values, low, high + (high - low) * 1e-9, BINS);
	let zeros = 0;
	for (const x of values) if (x === 0) zeros++;
	const home = zeros > values.length / 20 ? Math.floor(((0 - low) / (high - low)) * BINS) : -1;
	return [counts, Math.max(1, ...counts.filter((_, k) => k !== home))];
}

function layerAxis(g, { width, height }, L, chosen, ink) {
	const { x, column } = columns(width, L);
	g.fillStyle = ink.panel;
	g.fillRect(x(chosen) - column / 2 - 1, 0, column + 2, height - 18);
	g.font = FONT;
	g.fillStyle = ink.faint;
	g.textAlign = "center";
	g.textBaseline = "bottom";
	const by = [1, 2, 5, 10].find((step) => step * column > 26) ?? 25;
	for (let l = 1; l <= L; l++) {
		if (l % by || Math.abs(l - chosen) * column < 18) continue;
		g.fillText(String(l), x(l), height - 2);
	}
	g.fillStyle = ink.ink;
	g.font = `600 ${FONT}`;
	g.fillText(String(chosen), x(chosen), height - 2);
	g.font = FONT;
}

/** Every layer's histogram on its side. layers: [[counts, largest, range]…] of layers 1 … L; `shared`: the range of all, or null for each its own. */
export function drawSpindles(g, size, layers, shared, chosen, colour, ink) {
	const { width, height } = size;
	const L = layers.length;
	layerAxis(g, size, L, chosen, ink);
	const { x, column } = columns(width, L);
	const [top, bottom] = [8, height - 24];
	g.textAlign = "right";
	g.textBaseline = "middle";
	g.fillStyle = ink.faint;
	g.strokeStyle = ink.grid;
	g.lineWidth = 1;
	const place = (value, [low, high]) => bottom - ((value - low) / (high - low)) * (bottom - top);
	if (shared) {
		const [low, high] = shared;
		for (const value of [low, low < 0 ? 0 : (low + high) / 2, high]) {
			line(g, LEFT, place(value, shared), width - RIGHT, place(value, shared));
			if (place(value, shared) > bottom - 9 && value !== low) continue;
			g.fillText(format(value), LEFT - 6, place(value, shared));
		}
	} else {
		g.fillText("own", LEFT - 6, (top + bottom) / 2);
	}
	g.fillStyle = ink[colour];
	g.beginPath();
	layers.forEach(([counts, largest, range], index) => {
		const [low, high] = range;
		const half = Math.min(60, column * (column > 8 ? 0.46 : 0.5));
		const axis = shared ?? range;
		const from = place(low, axis);
		const by = (place(high, axis) - from) / counts.length;
		const thick = Math.max(-by, 1.2); // a histogram that has shrunk to a line is still seen
		for (let k = 0; k < counts.length; k++) {
			if (!counts[k]) continue;
			const wide = Math.max(0.4, half * Math.min(1, counts[k] / largest));
			g.rect(x(index + 1) - wide, from + (k + 0.5) * by - thick / 2, 2 * wide, thick);
		}
	});
	g.fill();
}

/** The range of the log axis, in whole powers of ten, at least three of them. */
function decades(lists) {
	let [low, high] = [Infinity, -Infinity];
	for (const values of lists) {
		for (const value of values) {
			if (!(value > 0)) continue;
			low = Math.min(low, Math.log10(value));
			high = Math.max(high, Math.log10(value));
		}
	}
	[low, high] = [Math.floor(low), Math.ceil(high)];
	while (high - low < 3) high - low < 2 ? low-- : high++;
	return [low, high];
}

/** Standard deviations by layer on a log scale: measured in colour, what theory expects in thin grey. */
export function drawDeviations(g, size, pass, expected, chosen, ink) {
	const { width, height } = size;
	const L = pass.activations.length - 1;
	layerAxis(g, size, L, chosen, ink);
	const { x, column } = columns(width, L);
	const names = Object.keys(CURVES);
	const of = (data, name) => data[name].slice(1);
	const [low, high] = decades(names.flatMap((name) => [of(pass, name), of(expected, name)]));
	const y = (value) => 8 + ((high - Math.log10(value)) / (high - low)) * (height - 32);
	g.textAlign = "right";
	g.textBaseline = "middle";
	g.lineWidth = 1;
	g.fillStyle = ink.faint;
	g.strokeStyle = ink.grid;
	const every = Math.ceil((high - low) / 6);
	for (let k = low; k <= high; k += every) {
		line(g, LEFT, y(10 ** k), width - RIGHT, y(10 ** k));
		g.fillText(power(k), LEFT - 6, y(10 ** k));
	}
	const curve = (values) => {
		g.beginPath();
		values.forEach((value, index) => g[index ? "lineTo" : "moveTo"](x(index + 1), y(value)));
		g.stroke();
		if (values.length > 1) return;
		g.beginPath();
		g.arc(x(1), y(values[0]), 3, 0, 7);
		g.stroke();
	};
	g.strokeStyle = ink.warn;
	g.fillStyle = ink.warn;
	if (low < -38 && high > -38) {
		line(g, LEFT, y(1.18e-38), width - RIGHT, y(1.18e-38));
		g.fillText("below: lost in float32", width - RIGHT, y(1.18e-38) + 9);
	}
	g.lineJoin = "round";
	for (const name of names) {
		g.setLineDash([]);
		g.lineWidth = 1;
		g.strokeStyle = ink.faint;
		curve(of(expected, name));
		g.strokeStyle = ink[CURVES[name].colour];
		g.lineWidth = 2.2;
		g.setLineDash(CURVES[name].dash);
		curve(of(pass, name));
	}
	g.setLineDash([]);
	for (const name of names) {
		g.fillStyle = ink[CURVES[name].colour];
		g.beginPath();
		g.arc(x(chosen), y(pass[name][chosen]), Math.min(4.5, column), 0, 7);
		g.fill();
	}
}

/** One layer's histogram, upright, with its axis. */
export function drawHistogram(g, { width, height }, [counts, largest, [low, high]], colour, ink) {
	const [left, right, bottom] = [6, width - 6, height - 20];
	const by = (right - left) / counts.length;
	g.fillStyle = ink[colour];
	g.beginPath();
	counts.forEach((count, k) => {
		const tall = Math.min(1, count / largest) * (bottom - 8);
		g.rect(left + k * by + 0.5, bottom - tall, by - 1, tall);
	});
	g.fill();
	g.strokeStyle = ink.edge;
	g.lineWidth = 1;
	line(g, left, bottom + 0.5, right, bottom + 0.5);
	g.font = FONT;
	g.fillStyle = ink.faint;
	g.textBaseline = "top";
	const ticks = [[low, "left"], [low < 0 && high > 0 ? 0 : (low + high) / 2, "center"], [high, "right"]];
	for (const [value, align] of ticks) {
		g.textAlign = align;
		g.fillText(format(value), left + ((value - low) / (high - low)) * (right - left), bottom + 5);
	}
}
