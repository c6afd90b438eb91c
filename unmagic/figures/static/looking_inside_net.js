// A small net in the page: forward, and gradients to its input and every layer, as PyTorch has them, in float64.

const total = (shape) => shape.reduce((a, b) => a * b, 1);

/** Calls visit(index, channel) for each number. */
function each([C, H, W], visit) {
	for (let c = 0; c < C; c++) for (let k = c * H * W; k < (c + 1) * H * W; k++) visit(k, c);
}

/** Weights in blocks of four outputs, [group, block, i, a, b, four], filled up with zeros. weight(o, k): of output o. */
function blocked(O, I, size, groups, weight) {
	const many = O / groups;
	const blocks = Math.ceil(many / 4);
	const numbers = new Float64Array(groups * blocks * I * size * 4);
	for (let o = 0; o < O; o++) {
		const block = Math.floor(o / many) * blocks + ((o % many) >> 2);
		for (let k = 0; k < I * size; k++) numbers[(block * I * size + k) * 4 + ((o % many) & 3)] = weight(o, k);
	}
	return { I, groups, many, blocks, numbers };
}

/** y[o, r, q] += Σ w[o, i, a, b] · x[i, r·sh + a·dh, q·sw + b·dw]; four outputs at once, for speed. */
function correlate(x, [PH, PW], { I, groups, many, blocks, numbers }, [kh, kw], y, [, height, width], [sh, sw], [dh, dw]) {
	const plane = height * width;
	for (let block = 0; block < groups * blocks; block++) {
		const group = Math.floor(block / blocks);
		const last = many - 4 * (block % blocks);
		const start = block * I * kh * kw * 4;
		for (let r = 0; r < height; r++) {
			for (let q = 0; q < width; q++) {
				let w = start;
				let s0 = 0;
				let s1 = 0;
				let s2 = 0;
				let s3 = 0;
				for (let i = 0; i < I; i++) {
					for (let a = 0; a < kh; a++) {
						const row = ((group * I + i) * PH + r * sh + a * dh) * PW + q * sw;
						for (let b = 0; b < kw; b++) {
							const value = x[row + b * dw];
							s0 += numbers[w] * value;
							s1 += numbers[w + 1] * value;
							s2 += numbers[w + 2] * value;
							s3 += numbers[w + 3] * value;
							w += 4;
						}
					}
				}
				const to = (group * many + 4 * (block % blocks)) * plane + r * width + q;
				y[to] += s0;
				if (last > 1) y[to + plane] += s1;
				if (last > 2) y[to + 2 * plane] += s2;
				if (last > 3) y[to + 3 * plane] += s3;
			}
		}
	}
}

/** x among zeros: entry (r, q) goes to (r, q)·apart + before of a room of sides [PH, PW], where it fits in. */
function padded(x, [C, H, W], before, apart, [PH, PW], room) {
	room.fill(0);
	for (let c = 0; c < C; c++) {
		for (let r = 0; r < H; r++) {
			const row = r * apart[0] + before[0];
			for (let q = 0; q < W; q++) {
				const column = q * apart[1] + before[1];
				if (row >= 0 && row < PH && column >= 0 && column < PW) room[(c * PH + row) * PW + column] = x[(c * H + r) * W + q];
			}
		}
	}
	return room;
}

/** Calls visit(output, first input, rows, columns) for each window of a pooling, without what is padding. */
function windows({ input: [C, H, W], output: [, height, width], kernel, stride, padding }, visit) {
	for (let c = 0; c < C; c++) {
		for (let r = 0; r < height; r++) {
			for (let q = 0; q < width; q++) {
				const y = Math.max(0, r * stride[0] - padding[0]);
				const x = Math.max(0, q * stride[1] - padding[1]);
				const rows = Math.min(H, r * stride[0] - padding[0] + kernel[0]) - y;
				visit((c * height + r) * width + q, (c * H + y) * W + x, rows, Math.min(W, q * stride[1] - padding[1] + kernel[1]) - x);
			}
		}
	}
}

function largest(x, at, rows, columns, W) {
	let best = at;
	for (let a = 0; a < rows; a++) for (let b = 0; b < columns; b++) if (x[at + a * W + b] > x[best]) best = at + a * W + b; // of equals the first
	return best;
}

/** The shape of a window layer's output. */
const sides = (channels, layer, input) =>
	[channels, ...[0, 1].map((k) => Math.floor((input[k + 1] + 2 * layer.padding[k] - layer.dilation[k] * (layer.kernel[k] - 1) - 1) / layer.stride[k]) + 1)];
const pooled = (layer, input) => sides(input[0], layer, input);
const share = ({ kernel: [kh, kw], counts_padding }, rows, columns) => 1 / (counts_padding ? kh * kw : rows * columns);

/**
 * output(layer, its input's shape) → shape, tensors(layer, channels) → { name: how many numbers }, forward(layer, x, y),
 * backward(layer, dy, dx, x) adds to dx; prepare(layer) once. The shape that is not said stays as it was.
 */
const KINDS = {
	Conv2d: {
		output: (layer, input) => sides(layer.channels, layer, input),
		tensors: ({ channels, groups, kernel, has_bias }, C) => ({ weight: (channels * C * total(kernel)) / groups, ...(has_bias && { bias: channels }) }),
		prepare(layer) {
			const { input: [C, ...from], channels, groups, kernel, padding, dilation, weight } = layer;
			const [I, each, size] = [C / groups, channels / groups, total(kernel)];
			layer.sides = from.map((n, k) => n + 2 * padding[k]);
			layer.backSides = from.map((n, k) => n + dilation[k] * (kernel[k] - 1));
			layer.before = padding.map((p, k) => dilation[k] * (kernel[k] - 1) - p);
			layer.room = new Float64Array(C * total(layer.sides));
			layer.backRoom = new Float64Array(channels * total(layer.backSides));
			layer.forwards = blocked(channels, I, size, groups, (o, k) => weight[o * I * size + k]);
			// the gradient goes back through kernels turned around
			layer.backwards = blocked(C, each, size, groups, (c, k) => weight[((Math.floor(c / I) * each + Math.floor(k / size)) * I + (c % I) + 1) * size - 1 - (k % size)]);
		},
		forward(layer, x, y) {
			const { bias, input, output, sides, kernel, padding, stride, dilation, room } = layer;
			each(output, (k, c) => (y[k] = bias ? bias[c] : 0));
			correlate(padded(x, input, padding, [1, 1], sides, room), sides, layer.forwards, kernel, y, output, stride, dilation);
		},
		backward(layer, dy, dx) {
			const { kernel, input, output, backSides, before, stride, dilation, backRoom } = layer;
			correlate(padded(dy, output, before, stride, backSides, backRoom), backSides, layer.backwards, kernel, dx, input, [1, 1], dilation);
		},
	},
	BatchNorm2d: {
		tensors: (layer, C) => ({ scale: C, shift: C }),
		forward: ({ scale, shift, output }, x, y) => each(output, (k, c) => (y[k] = x[k] * scale[c] + shift[c])),
		backward: ({ scale, output }, dy, dx) => each(output, (k, c) => (dx[k] += dy[k] * scale[c])),
	},
	ReLU: {
		forward: ({ output }, x, y) => each(output, (k) => (y[k] = x[k] > 0 ? x[k] : 0)),
		backward: ({ output }, dy, dx, x) => each(output, (k) => x[k] > 0 && (dx[k] += dy[k])),
	},
	MaxPool2d: {
		output: pooled,
		forward: (layer, x, y) => windows(layer, (k, at, rows, columns) => (y[k] = x[largest(x, at, rows, columns, layer.input[2])])),
		backward: (layer, dy, dx, x) => windows(layer, (k, at, rows, columns) => (dx[largest(x, at, rows, columns, layer.input[2])] += dy[k])),
	},
	AvgPool2d: {
		output: pooled,
		forward: (layer, x, y) => windows(layer, (k, at, rows, columns) => {
			let sum = 0;
			for (let a = 0; a < rows; a++) for (let b = 0; b < columns; b++) sum += x[at + a * layer.input[2] + b];
			y[k] = sum * share(layer, rows, columns);
		}),
		backward: (layer, dy, dx) => windows(layer, (k, at, rows, columns) => {
			const part = dy[k] * share(layer, rows, columns);
			for (let a = 0; a < rows; a++) for (let b = 0; b < columns; b++) dx[at + a * layer.input[2] + b] += part;
		}),
	},
	Flatten: {
		output: (layer, input) => [total(input), 1, 1],
		forward: (layer, x, y) => y.set(x),
		backward: (layer, dy, dx) => dy.forEach((slope, k) => (dx[k] += slope)),
	},
	Linear: {
		output: ({ features }) => [features, 1, 1],
		tensors: ({ features, has_bias }, n) => ({ weight: features * n, ...(has_bias && { bias: features }) }),
		forward({ weight, bias, input: [n] }, x, y) {
			for (let o = 0; o < y.length; o++) {
				y[o] = bias ? bias[o] : 0;
				for (let i = 0; i < n; i++) y[o] += weight[o * n + i] * x[i];
			}
		},
		backward({ weight, input: [n] }, dy, dx) {
			for (let o = 0; o < dy.length; o++) for (let i = 0; i < n; i++) dx[i] += weight[o * n + i] * dy[o];
		},
	},
};

KINDS.AdaptiveAvgPool2d = KINDS.AvgPool2d; // to one place: its window is all there is

/** A float16's bits as a number. */
function half(bits) {
	const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
	const size = exponent === 31 ? Infinity : exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
	return bits & 0x8000 ? -size : size;
}

/**
 * The net in a file of unmagic.figures.export, safetensors whose metadata says the layers: { layers, input, classes, samples: [picture…],
 * labels }. Throws an Error that says what was found and wanted.
 */
export function readNet(buffer) {
	const fail = (found) => {
		throw new Error(`This is no file of unmagic.figures.export: ${found}. In a notebook, export(net, "net.safetensors") writes one`);
	};
	const view = new DataView(buffer);
	const length = buffer.byteLength > 8 ? Number(view.getBigUint64(0, true)) : 0;
	if (!length || length > buffer.byteLength - 8) fail(`it has ${buffer.byteLength} bytes and no header of safetensors`);
	let header;
	let net;
	try {
		header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
		net = JSON.parse(header.__metadata__?.unmagic ?? "null");
	} catch {
		fail("its header is no JSON");
	}
	if (net?.version !== 1) fail(net ? `its version is ${net.version}, wanted is 1` : "it does not say what layers its weights are of");
	const tensor = (name, wanted) => {
		const { dtype, data_offsets: [from, to] } = header[name] ?? fail(`the tensor ${name} is missing`);
		const [size, read] = {
			F32: [4, (at) => view.getFloat32(at, true)],
			F16: [2, (at) => half(view.getUint16(at, true))],
			U8: [1, (at) => view.getUint8(at) / 255],
		}[dtype] ?? fail(`${name} is of ${dtype}, wanted is F32, F16 or U8`);
		const at = 8 + length + from;
		if (to - from !== wanted * size || 8 + length + to > buffer.byteLength) fail(`${name} has ${(to - from) / size} numbers, wanted are ${wanted}, or the file was cut off`);
		const values = Float64Array.from({ length: wanted }, (_, k) => read(at + k * size));
		return values.every(Number.isFinite) ? values : fail(`${name} holds what is no number`);
	};
	let shape = net.input;
	const layers = net.layers.map((entry) => {
		const kind = KINDS[entry.kind] ?? fail(`layer ${entry.name} is a ${entry.kind}`);
		const layer = { kernel: shape.slice(1), stride: [1, 1], padding: [0, 0], dilation: [1, 1], ...entry, input: shape };
		layer.output = shape = kind.output?.(layer, shape) ?? shape;
		for (const [name, wanted] of Object.entries(kind.tensors?.(layer, layer.input[0]) ?? {})) layer[name] = tensor(`${entry.name}.${name}`, wanted);
		kind.prepare?.(layer);
		return layer;
	});
	const size = total(net.input);
	const samples = net.samples ? tensor("samples", net.samples * size) : [];
	return { ...net, layers, samples: Array.from({ length: net.samples }, (_, k) => samples.slice(k * size, (k + 1) * size)) };
}

/** A way through a net: values[0] is the picture, values[k + 1] what layer k makes, the last the scores; slopes to each. */
export class Pass {
	constructor(net) {
		this.net = net;
		this.values = [net.input, ...net.layers.map(({ output }) => output)].map((shape) => new Float64Array(total(shape)));
		this.slopes = this.values.map((x) => new Float64Array(x.length));
	}

	get scores() {
		return this.values.at(-1);
	}

	/** Yields after each layer. */
	*forward() {
		for (const [k, layer] of this.net.layers.entries()) {
			KINDS[layer.kind].forward(layer, this.values[k], this.values[k + 1]);
			yield;
		}
	}

	/** From ∂/∂scores the slopes to every layer's output and the picture. After forward. */
	*backward(seed) {
		this.slopes.forEach((slope) => slope.fill(0));
		this.slopes.at(-1).set(seed);
		for (let k = this.net.layers.length - 1; k >= 0; k--) {
			const layer = this.net.layers[k];
			KINDS[layer.kind].backward(layer, this.slopes[k + 1], this.slopes[k], this.values[k]);
			yield;
		}
	}
}
