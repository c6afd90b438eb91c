// Gradient descent on small loss surfaces: arithmetic alone, no DOM. Tests run it in Node against torch.
//
// Every surface is a mean of n losses, one a training point, J(w) = 1/n Σ J_i(w), so batch, stochastic and minibatch descent
// are what they are on real data: no noise is put on top. Vectors are arrays of `dim` numbers, matrices arrays of rows.

import { normal, randomStream } from "./random.js";

export const POINTS = 48; // n, the training points of every surface
export const LONGEST = 1000; // epochs in the longest race
const SCATTER_SEED = 7; // the points are the same in every race; `seed` shuffles them

// --- points and their order ---

/** 0 … n−1 in random order (Fisher–Yates): an epoch shows every point exactly once. */
export function shuffled(n, uniform) {
	const order = Array.from({ length: n }, (_, i) => i);
	for (let i = n - 1; i > 0; i--) {
		const j = Math.floor(uniform() * (i + 1));
		[order[i], order[j]] = [order[j], order[i]];
	}
	return order;
}

/** n points (n, dim) from a Gaussian, shifted and scaled so that each coordinate has mean 0 and standard deviation 1. */
export function scatter(n, dim, seed = SCATTER_SEED) {
	const uniform = randomStream(seed);
	const z = Array.from({ length: n }, () => Array.from({ length: dim }, () => normal(uniform)));
	for (let k = 0; k < dim; k++) {
		const mean = z.reduce((sum, p) => sum + p[k], 0) / n;
		const deviation = Math.sqrt(z.reduce((sum, p) => sum + (p[k] - mean) ** 2, 0) / n);
		for (const p of z) p[k] = (p[k] - mean) / deviation;
	}
	return z;
}

// --- linear algebra of a few dimensions ---

const dot = (a, b) => a.reduce((sum, x, k) => sum + x * b[k], 0);

/** Eigenvalues of a symmetric matrix, largest first (Jacobi's rotations; Golub & Van Loan, §8.5). */
export function eigenvalues(matrix) {
	const a = matrix.map((row) => row.slice());
	const n = a.length;
	for (let sweep = 0; sweep < 30; sweep++) {
		let off = 0;
		for (let p = 0; p < n; p++) {
			for (let q = p + 1; q < n; q++) {
				off += Math.abs(a[p][q]);
				if (a[p][q] === 0) continue;
				const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
				const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
				const c = 1 / Math.hypot(t, 1);
				const s = t * c;
				for (let k = 0; k < n; k++) [a[k][p], a[k][q]] = [c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]];
				for (let k = 0; k < n; k++) [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
			}
		}
		if (off === 0) break;
	}
	return a.map((row, k) => row[k]).sort((x, y) => y - x);
}

/** x with matrix·x = right (Gaussian elimination with pivots). */
export function solve(matrix, right) {
	const a = matrix.map((row, k) => [...row, right[k]]);
	const n = a.length;
	for (let p = 0; p < n; p++) {
		let best = p;
		for (let r = p + 1; r < n; r++) if (Math.abs(a[r][p]) > Math.abs(a[best][p])) best = r;
		[a[p], a[best]] = [a[best], a[p]];
		for (let r = p + 1; r < n; r++) {
			const f = a[r][p] / a[p][p];
			for (let k = p; k <= n; k++) a[r][k] -= f * a[p][k];
		}
	}
	const x = new Array(n).fill(0);
	for (let p = n - 1; p >= 0; p--) x[p] = (a[p][n] - dot(a[p].slice(p + 1, n), x.slice(p + 1))) / a[p][p];
	return x;
}

/** The minimum that Levenberg's damped Newton steps reach from `guess`. */
export function minimise(surface, guess) {
	let w = guess.slice();
	let damping = 1e-3;
	for (let step = 0; step < 200; step++) {
		const g = surface.gradient(w);
		if (Math.max(...g.map(Math.abs)) < 1e-13) break;
		const damped = surface.hessian(w).map((row, r) => row.map((h, c) => h + (r === c ? damping : 0)));
		const move = solve(damped, g);
		const next = w.map((x, k) => x - move[k]);
		if (dot(move, g) > 0 && surface.loss(next) <= surface.loss(w)) {
			w = next;
			damping = Math.max(damping / 10, 1e-12);
		} else damping *= 10;
		if (damping > 1e12) break; // rounding stops every further step
	}
	return w;
}

// --- surfaces ---

/** J_i = J + g_i·w, Σ g_i = 0, from the mean loss alone, { loss, gradient, hessian } of w, and the tilts g_i. */
function tilted(mean, tilts) {
	return {
		...mean,
		tilts,
		pointLoss: (w, i) => mean.loss(w) + dot(tilts[i], w),
		gradient(w, batch = null) {
			const g = mean.gradient(w);
			if (batch) for (const i of batch) for (let k = 0; k < g.length; k++) g[k] += tilts[i][k] / batch.length;
			return g;
		},
	};
}

const scaled = (vectors, factor) => vectors.map((v) => v.map((x) => factor * x));

/** Bowl: J_i = ½ (w − c_i)ᵀ A (w − c_i), Σ c_i = 0. A has eigenvalues κ and 1, its stiff axis turned by 60°; `noise` is the deviation of the c_i. */
function bowl({ eccentricity, noise }) {
	const [c, s] = [Math.cos(Math.PI / 3), Math.sin(Math.PI / 3)];
	const A = [
		[eccentricity * c * c + s * s, (eccentricity - 1) * c * s],
		[(eccentricity - 1) * c * s, eccentricity * s * s + c * c],
	];
	const centres = scaled(scatter(POINTS, 2), noise);
	const half = (w) => 0.5 * (A[0][0] * w[0] * w[0] + 2 * A[0][1] * w[0] * w[1] + A[1][1] * w[1] * w[1]);
	const spread = centres.reduce((sum, p) => sum + half(p), 0) / POINTS; // what is left of J at its minimum
	return {
		dim: 2,
		centres,
		guess: [0, 0],
		loss: (w) => half(w) + spread,
		pointLoss: (w, i) => half([w[0] - centres[i][0], w[1] - centres[i][1]]),
		gradient(w, batch = null) {
			let [x, y] = w;
			if (batch) for (const i of batch) [x, y] = [x - centres[i][0] / batch.length, y - centres[i][1] / batch.length];
			return [A[0][0] * x + A[0][1] * y, A[1][0] * x + A[1][1] * y];
		},
		hessian: () => A.map((row) => row.slice()),
	};
}

/** Ravine: J = ½ κ (w2 − sin w1)² + ½ 0.2 w1², a floor that winds down to (0, 0) between steep walls. */
function ravine({ eccentricity: k, noise }) {
	const mean = {
		dim: 2,
		guess: [0, 0],
		loss: ([x, y]) => 0.5 * k * (y - Math.sin(x)) ** 2 + 0.1 * x * x,
		gradient([x, y]) {
			const r = y - Math.sin(x);
			return [-k * r * Math.cos(x) + 0.2 * x, k * r];
		},
		hessian([x, y]) {
			const [c, s] = [Math.cos(x), Math.sin(x)];
			return [
				[k * c * c + k * (y - s) * s + 0.2, -k * c],
				[-k * c, k],
			];
		},
	};
	return tilted(mean, scaled(scatter(POINTS, 2), noise));
}

/** Rosenbrock: J = (1 − w1)² + 100 (w2 − w1²)² (The Computer Journal 3, 1960), minimum at (1, 1). */
function rosenbrock({ noise }) {
	const mean = {
		dim: 2,
		guess: [1, 1],
		loss: ([x, y]) => (1 - x) ** 2 + 100 * (y - x * x) ** 2,
		gradient([x, y]) {
			const r = y - x * x;
			return [-2 * (1 - x) - 400 * x * r, 200 * r];
		},
		hessian: ([x, y]) => [
			[2 - 400 * (y - x * x) + 800 * x * x, -400 * x],
			[-400 * x, 200],
		],
	};
	return tilted(mean, scaled(scatter(POINTS, 2), 10 * noise));
}

/** Two minima: J = (w1² − 1)² + 0.8 w1 + (w2 − ½ w1)²; the deep one on the left, a shallow one on the right. */
function twoMinima({ noise }) {
	const mean = {
		dim: 2,
		guess: [-1.1, -0.5],
		loss: ([x, y]) => (x * x - 1) ** 2 + 0.8 * x + (y - 0.5 * x) ** 2,
		gradient([x, y]) {
			const r = y - 0.5 * x;
			return [4 * x * (x * x - 1) + 0.8 - r, 2 * r];
		},
		hessian: ([x]) => [
			[12 * x * x - 3.5, -1],
			[-1, 2],
		],
	};
	return tilted(mean, scaled(scatter(POINTS, 2), 4 * noise));
}

/**
 * One tanh unit, w = (w1, w2, b), J_i = ½ (tanh(w1 x1 + w2 x2 + b) − t_i)², on 2-D points of two classes with targets ±0.7. The
 * points are not centred; `noise` is the standard deviation of each class. shown(w1, w2) is the least loss over b.
 */
function unit({ noise }) {
	const z = scatter(POINTS, 2);
	const data = z.map((p, i) => {
		const side = i % 2 ? 1 : -1;
		return { x: [1.2 + 0.9 * side + noise * p[0], 0.9 + 0.5 * side + noise * p[1]], t: 0.7 * side };
	});
	const out = (w, { x }) => Math.tanh(w[0] * x[0] + w[1] * x[1] + w[2]);
	const surface = {
		dim: 3,
		data,
		guess: [0.6, 0.4, -1],
		loss: (w) => data.reduce((sum, p) => sum + (out(w, p) - p.t) ** 2, 0) / (2 * POINTS),
		pointLoss: (w, i) => 0.5 * (out(w, data[i]) - data[i].t) ** 2,
		gradient(w, batch = null) {
			const count = batch ? batch.length : POINTS;
			const g = [0, 0, 0];
			for (let k = 0; k < count; k++) {
				const p = data[batch ? batch[k] : k];
				const y = out(w, p);
				const d = ((y - p.t) * (1 - y * y)) / count;
				g[0] += d * p.x[0];
				g[1] += d * p.x[1];
				g[2] += d;
			}
			return g;
		},
		hessian(w) {
			const H = [0, 0, 0].map(() => [0, 0, 0]);
			for (const p of data) {
				const y = out(w, p);
				const curve = ((1 - y * y) * (1 - y * y - 2 * y * (y - p.t))) / POINTS; // d²J_i/da² of the activation a
				const x = [p.x[0], p.x[1], 1];
				for (let r = 0; r < 3; r++) for (let c = 0; c < 3; c++) H[r][c] += curve * x[r] * x[c];
			}
			return H;
		},
	};
	surface.shown = (w1, w2) => leastOverBias(data, w1, w2);
	return surface;
}

/**
 * min over b of the unit's loss at (w1, w2), to about 1e-3: a scan for the right valley, then golden sections. tanh(a + b)
 * by the addition theorem is some ten times as fast.
 */
export function leastOverBias(data, w1, w2) {
	const a = data.map((p) => w1 * p.x[0] + w2 * p.x[1]);
	const T = a.map(Math.tanh);
	const loss = (b) => {
		const tb = Math.tanh(b);
		let sum = 0;
		for (let i = 0; i < T.length; i++) sum += ((T[i] + tb) / (1 + T[i] * tb) - data[i].t) ** 2;
		return sum / (2 * T.length);
	};
	const [low, high] = [-Math.max(...a) - 0.9, -Math.min(...a) + 0.9]; // beyond, every output is past its target
	const count = Math.ceil((high - low) / 0.25);
	const by = (high - low) / count;
	let [best, at] = [Infinity, low];
	for (let k = 0; k <= count; k++) {
		const value = loss(low + k * by);
		if (value < best) [best, at] = [value, low + k * by];
	}
	const golden = (Math.sqrt(5) - 1) / 2;
	for (let half = by, step = 0; step < 8; step++, half *= golden) {
		for (const b of [at - half * golden, at + half * golden]) {
			const value = loss(b);
			if (value < best) [best, at] = [value, b];
		}
	}
	return best;
}

/** view: [left, right, bottom, top], 4:3 so that both axes have one scale; softness: of the map's tints. */
export const SURFACES = {
	bowl: { label: "Eccentric bowl", build: bowl, view: [-4, 4, -3, 3], softness: 0.4, eccentricity: "Eccentricity λmax/λmin" },
	ravine: { label: "Winding ravine", build: ravine, view: [-4, 4, -3, 3], softness: 0.25, eccentricity: "Steepness of the walls κ" },
	rosenbrock: { label: "Rosenbrock's valley", build: rosenbrock, view: [-2, 2, -1, 2], softness: 1 },
	two_minima: { label: "Two minima", build: twoMinima, view: [-2, 2, -1.5, 1.5], softness: 0.4 },
	unit: { label: "One tanh unit, three weights", build: unit, view: [-1, 2.2, -0.8, 1.6], softness: 0.02 },
};

/** A surface with its minimum: { dim, loss, pointLoss, gradient, hessian, shown, minimum, lowest, lambdas } + what SURFACES says. */
export function makeSurface(name, settings) {
	const { build, ...about } = SURFACES[name];
	const surface = { name, ...about, ...build(settings) };
	surface.shown ??= (w1, w2) => surface.loss([w1, w2]);
	surface.minimum = minimise(surface, surface.guess);
	surface.lowest = surface.loss(surface.minimum);
	surface.lambdas = eigenvalues(surface.hessian(surface.minimum)); // λmax first
	return surface;
}

// --- optimizers and racers: a new one is one entry in each ---

/**
 * step(w, g, slot, settings) changes w by one update from gradient g; `slot` is the optimizer's memory. limit(λmax, settings): the
 * largest stable rate on a quadratic.
 */
export const OPTIMIZERS = {
	descent: {
		step(w, g, slot, { rate }) {
			for (let k = 0; k < w.length; k++) w[k] -= rate * g[k];
		},
		limit: (lambda) => 2 / lambda,
	},
	// Δw ← −ε∇J(w) + βΔw; w ← w + Δw. Polyak's heavy ball (USSR Comp. Math. 4(5), 1964); stable below 2(1 + β)/λmax
	momentum: {
		step(w, g, slot, { rate, momentum }) {
			slot.move ??= w.map(() => 0);
			for (let k = 0; k < w.length; k++) w[k] += slot.move[k] = momentum * slot.move[k] - rate * g[k];
		},
		limit: (lambda, { momentum }) => (2 * (1 + momentum)) / lambda,
	},
};

export const RACERS = {
	batch: { label: "Batch", optimizer: "descent", batchSize: () => POINTS },
	stochastic: { label: "Stochastic", optimizer: "descent", batchSize: () => 1 },
	minibatch: { label: "Minibatch", optimizer: "descent", batchSize: (settings) => settings.batch_size },
	momentum: { label: "Batch + momentum", optimizer: "momentum", batchSize: () => POINTS },
};

/** Whether update number u is kept when about `dense` are kept in every doubling: dense at the start, thinner later. */
export function kept(u, dense) {
	let stride = 1;
	while (stride * dense < u) stride *= 2;
	return u % stride === 0;
}

const FAR = 1e6; // a weight beyond this has diverged

/** One racer's whole way. path: flat rows [w…], one an update, the start first; losses, epochs: rows [points shown, updates, J]. */
class Lane {
	constructor(name, surface, settings, points) {
		this.name = name;
		this.dim = surface.dim;
		this.size = Math.min(POINTS, Math.max(1, RACERS[name].batchSize(settings)));
		this.perEpoch = Math.ceil(POINTS / this.size); // updates: the last batch of an epoch may be short
		this.divergedAt = null; // points shown when a weight went beyond all bounds
		const w = settings.start.slice(0, surface.dim);
		this.path = [...w];
		this.losses = [[0, 0, surface.loss(w)]]; // after an update
		this.epochs = this.losses.slice(); // after an epoch
		const { step } = OPTIMIZERS[RACERS[name].optimizer];
		const hyper = { ...settings, rate: settings.rates[name] ?? settings.learning_rate };
		const uniform = randomStream(settings.seed); // equal seeds, equal order: racers differ in nothing but the batch
		const slot = {};
		let order = null;
		for (let shown = 0, updates = 1; ; updates++) {
			const at = shown % POINTS;
			const size = Math.min(this.size, POINTS - at);
			shown += size;
			if (shown > points) return;
			if (at === 0) order = shuffled(POINTS, uniform);
			step(w, surface.gradient(w, size === POINTS ? null : order.slice(at, at + size)), slot, hyper);
			if (!w.every((x) => Math.abs(x) < FAR)) {
				this.divergedAt = shown;
				return;
			}
			for (const x of w) this.path.push(x);
			const row = kept(updates, 192) || shown % POINTS === 0 ? [shown, updates, surface.loss(w)] : null;
			if (kept(updates, 192)) this.losses.push(row);
			if (shown % POINTS === 0) this.epochs.push(row);
		}
	}

	/** Updates made when `shown` points were shown: one as soon as each batch is full. */
	updatesAt(shown) {
		const updates = Math.floor(shown / POINTS) * this.perEpoch + Math.floor((shown % POINTS) / this.size);
		return Math.min(updates, this.path.length / this.dim - 1);
	}

	/** The weights after so many updates. */
	weights(updates) {
		return this.path.slice(updates * this.dim, (updates + 1) * this.dim);
	}
}

/**
 * The whole race up to `points` points shown, a function of its settings and nothing else. settings = { racers, start,
 * learning_rate, rates, momentum, batch_size, seed }; rates[racer], where given, stands for learning_rate.
 */
export function race(surface, settings, points) {
	return settings.racers.map((name) => new Lane(name, surface, settings, Math.min(points, LONGEST * POINTS)));
}
