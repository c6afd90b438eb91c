// What a pass through a net tells, as unmagic.look computes it.

import { Pass } from "./looking_inside_net.js";

export function softmax(scores) {
	const top = Math.max(...scores);
	const powers = [...scores].map((s) => Math.exp(s - top));
	const sum = powers.reduce((a, b) => a + b, 0);
	return powers.map((p) => p / sum);
}

export const surest = (values) => values.reduce((best, x, k) => (x > values[best] ? k : best), 0);

/** The layers that have maps, as indices into a pass's values. */
export const withMaps = (net) => net.layers.flatMap(({ output: [, height, width] }, k) => (height * width > 1 ? [k + 1] : []));

/** max over channels of |∂S/∂x|. */
export function saliency(slope, [C, H, W]) {
	return Float64Array.from({ length: H * W }, (_, k) => {
		let most = 0;
		for (let c = 0; c < C; c++) most = Math.max(most, Math.abs(slope[c * H * W + k]));
		return most;
	});
}

/** ReLU(Σ α_c f_c), α_c the mean of the gradient to map c. */
export function gradCam(maps, slope, [C, H, W]) {
	const sum = new Float64Array(H * W);
	for (let c = 0; c < C; c++) {
		const own = (values, k) => values[c * H * W + k];
		let alpha = 0;
		for (let k = 0; k < H * W; k++) alpha += own(slope, k) / (H * W);
		for (let k = 0; k < H * W; k++) sum[k] += alpha * own(maps, k);
	}
	return sum.map((s) => Math.max(0, s));
}

export const fgsm = (x, slope, epsilon) => x.map((value, k) => Math.min(1, Math.max(0, value + epsilon * Math.sign(slope[k]))));

/** The square that covers, and its stride, in pixels. */
export function occluder([, H, W]) {
	const side = Math.min(H, W);
	const window = Math.min(side, side < 16 ? 3 : side >> 2);
	return { window, stride: side < 16 ? 1 : window >> 1 };
}

/**
 * A picture's way through the net and back, yields after every layer: { values, probabilities, target, saliency, layer, gradCam, slope }.
 * target: the class explained, −1: the surest. layer: Grad-CAM's, an index into the values, 0: none. slope: of the loss −log p.
 */
export function* analyse(pass, x, { target, layer }) {
	const { input, layers } = pass.net;
	pass.values[0].set(x);
	yield* pass.forward();
	const probabilities = softmax(pass.scores);
	const wanted = target < 0 ? surest(probabilities) : target;
	const one = probabilities.map((_, k) => Number(k === wanted));
	yield* pass.backward(one);
	const found = {
		values: pass.values,
		probabilities,
		target: wanted,
		saliency: saliency(pass.slopes[0], input),
		layer,
		gradCam: layer ? gradCam(pass.values[layer], pass.slopes[layer], layers[layer - 1].output) : new Float64Array(1),
	};
	yield* pass.backward(probabilities.map((p, k) => p - one[k]));
	return { ...found, slope: pass.slopes[0].slice() };
}

/** One step of ε along the sign of the slope: returns { picture, probabilities }. */
export function* attack(pass, x, { slope }, epsilon) {
	const picture = fgsm(x, slope, epsilon);
	pass.values[0].set(picture);
	yield* pass.forward();
	return { picture, probabilities: softmax(pass.scores) };
}

/** The probability of a class with a square of the picture covered: returns { map, rows, columns, window, stride }. */
export function* occlusion(net, x, { target, window, stride, fill = 0.5 }) {
	const [C, H, W] = net.input;
	const pass = new Pass(net);
	const [rows, columns] = [H, W].map((n) => Math.floor((n - window) / stride) + 1);
	const map = new Float64Array(rows * columns);
	for (let k = 0; k < map.length; k++) {
		const [top, left] = [Math.floor(k / columns) * stride, (k % columns) * stride];
		pass.values[0].set(x);
		for (let c = 0; c < C; c++) for (let r = c * H + top; r < c * H + top + window; r++) pass.values[0].fill(fill, r * W + left, r * W + left + window);
		yield* pass.forward();
		map[k] = softmax(pass.scores)[target];
	}
	return { map, rows, columns, window, stride };
}

/** How far the probability falls at each pixel: the mean over the windows that cover it. */
export function fall({ map, rows, columns, window, stride, full }, [, H, W]) {
	const [sum, times] = [new Float64Array(H * W), new Float64Array(H * W)];
	for (let k = 0; k < rows * columns * window * window; k++) {
		const [at, inside] = [Math.floor(k / window / window), k % (window * window)];
		const pixel = (Math.floor(at / columns) * stride + Math.floor(inside / window)) * W + (at % columns) * stride + (inside % window);
		sum[pixel] += Math.max(0, full - map[at]);
		times[pixel]++;
	}
	return sum.map((s, k) => s / Math.max(1, times[k]));
}

export function place(map, columns) {
	const k = surest(map);
	const third = (at, size) => Math.floor((3 * (at + 0.5)) / size);
	return `${["top", "middle", "bottom"][third(Math.floor(k / columns), map.length / columns)]} ${["left", "centre", "right"][third(k % columns, columns)]}`;
}
