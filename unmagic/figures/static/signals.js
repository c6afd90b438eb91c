// Signals forwards and gradients backwards through a deep network of equal layers: arithmetic alone, no DOM. Tests run it in Node
// against torch's autograd.
//
// Layer l makes u = W h_{l−1}, then y = u or u normalised, then h_l = φ(y): n units, no biases, a batch of BATCH examples. The
// inputs h_0 are standard normal, and so are the gradients ∂J_b/∂h_L that come in at the top, one for each unit and example b.
// Matrices are Float64Arrays, row after row: examples × units, or a layer's units × those of the layer before.

import { normal, randomStream } from "./random.js";

export const BATCH = 32;
export const DEEPEST = 50; // layers
export const WIDTHS = [8, 16, 24, 32, 48, 64, 96, 128, 192, 256]; // units: multiples of 4, for the products below
const EPSILON = 1e-5; // torch's, in both normalizations
const LEAK = 0.01; // torch's LeakyReLU
const SATURATED = 0.05; // φ′ below this share of its largest value

/** f: φ; slope: φ′ from the value h of φ, with its largest value `steepest` where it saturates. */
export const ACTIVATIONS = {
	tanh: { label: "tanh", f: Math.tanh, slope: (h) => 1 - h * h, steepest: 1 },
	sigmoid: { label: "sigmoid", f: (y) => 1 / (1 + Math.exp(-y)), slope: (h) => h * (1 - h), steepest: 0.25 },
	relu: { label: "ReLU", f: (y) => (y > 0 ? y : 0), slope: (h) => (h > 0 ? 1 : 0) },
	leaky_relu: { label: `leaky ReLU (${LEAK})`, f: (y) => (y > 0 ? y : LEAK * y), slope: (h) => (h > 0 ? 1 : LEAK) },
	linear: { label: "linear", f: (y) => y, slope: () => 1 },
};

/** n·Var(w) of each initialization, which draws every weight from U(−a, a), a² = 3 Var(w). */
export const INITIALIZATIONS = {
	standard: { label: "standard, U(±1/√n)", nVar: () => 1 / 3 },
	xavier: { label: "Xavier", nVar: () => 1 },
	he: { label: "He", nVar: () => 2 },
	small: { label: "too small, σ = 0.01", nVar: (n) => n * 1e-4 },
	large: { label: "too large, σ = 1", nVar: (n) => n },
	own: { label: "your own n·Var(w)" },
};

export const NORMALIZATIONS = {
	none: { label: "none" },
	batch: { label: "batch norm" },
	layer: { label: "layer norm" },
};

/** Weights of variance 1 by layer, inputs and top gradients; kept, so that only what is new is drawn. */
export class Numbers {
	constructor(seed, n) {
		Object.assign(this, { seed, n, weights: [] });
		const batch = (stream) => {
			const uniform = randomStream(64 * seed + stream);
			return new Float64Array(BATCH * n).map(() => normal(uniform));
		};
		this.inputs = batch(0);
		this.top = batch(DEEPEST + 1);
	}

	/** U(−√3, √3), n × n, of layer l = 1, 2, … */
	layer(l) {
		const uniform = randomStream(64 * this.seed + l);
		return (this.weights[l] ??= new Float64Array(this.n * this.n).map(() => Math.sqrt(3) * (2 * uniform() - 1)));
	}
}

// --- products: these loops are where the time goes, so they hold 8 sums at a time ---

/** out = scale · x Wᵀ: examples × units. */
function forwardProduct(x, W, n, scale, out) {
	for (let i = 0; i < n; i += 2) {
		const [r, s] = [i * n, i * n + n];
		for (let b = 0; b < BATCH; b += 4) {
			const [p0, p1, p2, p3] = [b * n, (b + 1) * n, (b + 2) * n, (b + 3) * n];
			let [a0, a1, a2, a3, c0, c1, c2, c3] = [0, 0, 0, 0, 0, 0, 0, 0];
			for (let j = 0; j < n; j++) {
				const u = W[r + j];
				const v = W[s + j];
				a0 += u * x[p0 + j];
				a1 += u * x[p1 + j];
				a2 += u * x[p2 + j];
				a3 += u * x[p3 + j];
				c0 += v * x[p0 + j];
				c1 += v * x[p1 + j];
				c2 += v * x[p2 + j];
				c3 += v * x[p3 + j];
			}
			[out[p0 + i], out[p1 + i], out[p2 + i], out[p3 + i]] = [scale * a0, scale * a1, scale * a2, scale * a3];
			[out[p0 + i + 1], out[p1 + i + 1], out[p2 + i + 1], out[p3 + i + 1]] = [scale * c0, scale * c1, scale * c2, scale * c3];
		}
	}
}

/** out = scale · d W. */
function backwardProduct(d, W, n, scale, out) {
	out.fill(0);
	for (let i = 0; i < n; i += 4) {
		const [r0, r1, r2, r3] = [i * n, (i + 1) * n, (i + 2) * n, (i + 3) * n];
		for (let b = 0; b < BATCH; b += 2) {
			const [p, q] = [b * n, (b + 1) * n];
			const [d0, d1, d2, d3] = [scale * d[p + i], scale * d[p + i + 1], scale * d[p + i + 2], scale * d[p + i + 3]];
			const [e0, e1, e2, e3] = [scale * d[q + i], scale * d[q + i + 1], scale * d[q + i + 2], scale * d[q + i + 3]];
			for (let j = 0; j < n; j++) {
				const u0 = W[r0 + j];
				const u1 = W[r1 + j];
				const u2 = W[r2 + j];
				const u3 = W[r3 + j];
				out[p + j] += d0 * u0 + d1 * u1 + d2 * u2 + d3 * u3;
				out[q + j] += e0 * u0 + e1 * u1 + e2 * u2 + e3 * u3;
			}
		}
	}
}

// --- normalization ---

/** Where the numbers lie that share a mean: [how many groups, from one to the next, numbers in a group, from one to the next]. */
const groups = (normalization, n) => (normalization === "batch" ? [n, 1, BATCH, n] : [BATCH, n, n, 1]);

/** y ← (y − mean)/√(biased variance + ε) in every group; returns 1/√(…) of each. */
function normalise(y, normalization, n) {
	const [count, hop, size, step] = groups(normalization, n);
	const inverse = new Float64Array(count);
	for (let k = 0; k < count; k++) {
		let [mean, variance] = [0, 0];
		for (let m = 0, at = k * hop; m < size; m++, at += step) mean += y[at] / size;
		for (let m = 0, at = k * hop; m < size; m++, at += step) variance += (y[at] - mean) ** 2 / size;
		inverse[k] = 1 / Math.sqrt(variance + EPSILON);
		for (let m = 0, at = k * hop; m < size; m++, at += step) y[at] = (y[at] - mean) * inverse[k];
	}
	return inverse;
}

/** d ← ∂J/∂u from d = ∂J/∂y: (d − mean(d) − y·mean(d·y))/√(…) in every group (Ioffe & Szegedy 2015, §3). */
function normaliseBack(d, y, inverse, normalization, n) {
	const [count, hop, size, step] = groups(normalization, n);
	for (let k = 0; k < count; k++) {
		let [mean, along] = [0, 0];
		for (let m = 0, at = k * hop; m < size; m++, at += step) {
			mean += d[at] / size;
			along += (d[at] * y[at]) / size;
		}
		for (let m = 0, at = k * hop; m < size; m++, at += step) d[at] = inverse[k] * (d[at] - mean - y[at] * along);
	}
}

// --- what is measured ---

export function standardDeviation(values) {
	let [mean, variance] = [0, 0];
	for (const x of values) mean += x;
	mean /= values.length;
	for (const x of values) variance += (x - mean) ** 2;
	return Math.sqrt(variance / values.length);
}

/** Standard deviation of the n² entries of ∂J/∂W = 1/B Σ_b d_b h_bᵀ: from Σ_bc (d_b·d_c)(h_b·h_c), without the matrix. */
function weightGradientDeviation(d, h, n) {
	let [squares, sum] = [0, 0];
	for (let b = 0; b < BATCH; b++) {
		let [ds, hs] = [0, 0];
		for (let j = 0; j < n; j++) {
			ds += d[b * n + j];
			hs += h[b * n + j];
		}
		sum += ds * hs;
		for (let c = 0; c <= b; c++) {
			let [dd, hh] = [0, 0];
			for (let j = 0, p = b * n, q = c * n; j < n; j++, p++, q++) {
				dd += d[p] * d[q];
				hh += h[p] * h[q];
			}
			squares += (c < b ? 2 : 1) * dd * hh;
		}
	}
	const mean = sum / (BATCH * n * n);
	return Math.sqrt(Math.max(0, squares / (BATCH * n) ** 2 - mean * mean));
}

/**
 * Of a layer's activations: the shares that are `saturated` and `zero`; how many units are `dead`, 0 for every example; and `alike`, the
 * share of their variance that is the same for every example.
 */
function idle(h, { slope, steepest }, n) {
	let [saturated, zero, dead] = [0, 0, 0];
	const means = new Float64Array(n);
	for (let j = 0; j < n; j++) {
		let zeros = 0;
		for (let at = j; at < h.length; at += n) {
			means[j] += h[at] / BATCH;
			if (h[at] === 0) zeros++;
			if (steepest && slope(h[at]) < SATURATED * steepest) saturated++;
		}
		zero += zeros;
		if (zeros === BATCH) dead++;
	}
	const alike = (standardDeviation(means) / standardDeviation(h)) ** 2;
	return { saturated: saturated / h.length, zero: zero / h.length, dead, alike };
}

/** counts of values in `bins` equal bins from low to high; what lies outside is left out. */
export function histogram(values, low, high, bins) {
	const counts = new Float64Array(bins);
	const scale = bins / (high - low);
	for (const x of values) {
		const k = Math.floor((x - low) * scale);
		if (k >= 0 && k < bins) counts[k]++;
	}
	return counts;
}

/**
 * One pass forwards and one backwards, as a generator that pauses after every layer. settings = { activation, normalization, nVar,
 * depth }, numbers: of the right width. Returns { h, g, activations, unitGradients, weightGradients, idle }: activations and ∂J_b/∂h of layers 0 … L
 * (examples × units), their standard deviations, that of ∂J/∂W for layers 1 … L (J is the mean of the J_b), idle units.
 */
export function* propagate({ activation, normalization, nVar, depth }, numbers) {
	const { n, inputs, top } = numbers;
	const about = ACTIVATIONS[activation];
	const scale = Math.sqrt(nVar / n);
	const batch = () => new Float64Array(BATCH * n);
	const [h, y, inverse, idles] = [[inputs], [], [], [null]];
	for (let l = 1; l <= depth; l++) {
		const u = batch();
		forwardProduct(h[l - 1], numbers.layer(l), n, scale, u);
		if (normalization !== "none") {
			inverse[l] = normalise(u, normalization, n);
			y[l] = u;
		}
		h[l] = u.map(about.f);
		idles[l] = idle(h[l], about, n);
		yield l;
	}
	const g = [];
	g[depth] = top;
	const weightGradients = new Array(depth + 1).fill(NaN);
	for (let l = depth; l > 0; l--) {
		const d = g[l].map((x, k) => x * about.slope(h[l][k]));
		if (normalization !== "none") normaliseBack(d, y[l], inverse[l], normalization, n);
		weightGradients[l] = weightGradientDeviation(d, h[l - 1], n);
		g[l - 1] = batch();
		backwardProduct(d, numbers.layer(l), n, scale, g[l - 1]);
		yield l;
	}
	return { h, g, activations: h.map(standardDeviation), unitGradients: g.map(standardDeviation), weightGradients, idle: idles };
}

// --- what theory says, for n → ∞ ---

/** E[tanh²(√q z)] and E[(1 − tanh²(√q z))²] for standard normal z, by the trapezoidal rule (error below 1e-10). */
function tanhMoments(q) {
	const a = Math.sqrt(q);
	const step = Math.min(0.5, 0.35 / a);
	let [square, slope, weight] = [0, 0, 0];
	for (let z = 0; z < 8.5; z += step) {
		const t = Math.tanh(a * z) ** 2;
		const w = Math.exp(-0.5 * z * z) * (z ? 2 : 1);
		square += w * t;
		slope += w * (1 - t) ** 2;
		weight += w;
	}
	return [square / weight, slope / weight];
}

/** mean E[φ], square E[φ²] and slope E[φ′²] of φ(y), y normal with mean 0 and variance q. */
export function moments(activation, q) {
	if (activation === "linear") return { mean: 0, square: q, slope: 1 };
	if (activation === "tanh") {
		const [square, slope] = tanhMoments(q);
		return { mean: 0, square, slope };
	}
	if (activation === "sigmoid") {
		const [square, slope] = tanhMoments(q / 4); // σ(y) = ½ + ½ tanh(y/2)
		return { mean: 0.5, square: (1 + square) / 4, slope: slope / 16 };
	}
	const a = activation === "relu" ? 0 : LEAK;
	return { mean: (1 - a) * Math.sqrt(q / (2 * Math.PI)), square: ((1 + a * a) * q) / 2, slope: (1 + a * a) / 2 };
}

/**
 * The standard deviations of `propagate` as theory predicts them, and for each layer `factor`, by which it multiplies the variance of
 * the gradients on their way back, `slope`, E[φ′²], and `divisor`, what a normalization divides by, over n·Var(w). Without normalization the factor is n·Var(w)·E[φ′²] (Glorot & Bengio 2010; He et al. 2015;
 * Schoenholz et al. 2017); normalization divides it by the variance of u, which has the same n·Var(w) in it, and batch norm with finite
 * batches multiplies it by (B − 2)/(B − 3) (Yang et al. 2019, who prove it for linear layers).
 */
export function theory({ activation, normalization, nVar, depth }) {
	const list = () => new Array(depth + 1).fill(NaN);
	const [activations, unitGradients, weightGradients, factor, slope, divisor] = Array.from({ length: 6 }, list);
	activations[0] = 1;
	const spread = list();
	let before = { mean: 0, square: 1 };
	const batched = normalization === "batch";
	const spreadOf = ({ mean, square }) => (batched ? square - mean * mean : square); // batch norm takes a unit's mean away
	let [q, now] = [NaN, null];
	for (let l = 1; l <= depth; l++) {
		spread[l] = spreadOf(before);
		const variance = nVar * spread[l];
		const next = normalization === "none" ? variance : variance / (variance + EPSILON);
		if (Math.abs(next - q) > 1e-12 * next || !now) now = moments(activation, (q = next)); // a fixed point is met soon
		activations[l] = Math.sqrt(Math.max(0, now.square - now.mean ** 2));
		slope[l] = now.slope;
		factor[l] = nVar * now.slope;
		divisor[l] = (variance + EPSILON) / nVar;
		if (normalization !== "none") factor[l] = now.slope / divisor[l];
		if (batched) factor[l] *= (BATCH - 2) / (BATCH - 3);
		before = now;
	}
	unitGradients[depth] = 1;
	for (let l = depth; l > 0; l--) {
		unitGradients[l - 1] = unitGradients[l] * Math.sqrt(factor[l]);
		// examples pull in independent directions: their mean is √B smaller
		weightGradients[l] = unitGradients[l - 1] * Math.sqrt(spread[l] / (nVar * BATCH));
	}
	return { activations, unitGradients, weightGradients, factor, slope, divisor };
}
