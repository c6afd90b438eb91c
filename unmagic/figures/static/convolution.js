// Convolution and pooling of one small picture, forwards and backwards: the arithmetic alone, tested in Node against torch.
//
// Each operation is a set of links. A link joins one input, one weight and one output, and any two of them determine the third.
//   forward   y     sums w · x      over the links of an output
//   backward  ∂L/∂x sums w · ∂L/∂y  over the links of an input
//             ∂L/∂w sums x · ∂L/∂y  over the links of a weight
// Pooling is the same with weights that each window gives its own inputs. Matrices are arrays of rows, indices start at 0.

export const LARGEST = 24; // a side of what is still drawn
export const isPooling = (operation) => operation.endsWith("pooling");
export const bigSide = ({ operation }) => (operation === "transposed_convolution" ? "y" : "x"); // what the kernel slides over

const matrix = (rows, columns, f) => Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (__, j) => f(i, j)));
const at = (values, [r, c]) => values[r]?.[c] ?? 0; // beyond the edge: padding

/** The settings as torch takes them for this operation: what it has not is neutral, what is too large is cut. */
export function settle({ operation, kernel, window, stride, padding, dilation, output_padding, ceil_mode }) {
	const pooling = isPooling(operation);
	const d = operation === "average_pooling" ? 1 : dilation; // torch's has none
	return {
		operation,
		stride,
		dilation: d,
		size: pooling ? [window, window] : [kernel.length, kernel[0].length],
		padding: pooling ? Math.min(padding, Math.floor(window / 2)) : padding,
		output_padding: operation === "transposed_convolution" ? Math.min(output_padding, Math.max(stride, d) - 1) : 0,
		ceil_mode: pooling && ceil_mode,
	};
}

/**
 * One axis with n inputs and k weights. Returns n, k, the kernel's reach d(k − 1) + 1, `out` outputs, and of a convolution or pooling
 * `room` = n + 2p − reach, the steps there is room for, and `rest`, what the stride leaves of it. The side that the kernel slides over
 * is `big` (the input, or a transposed convolution's output), the other `small`; touched[r] counts the links of big's index r.
 */
export function axis(n, k, { operation, stride, padding, dilation, output_padding, ceil_mode }) {
	const reach = dilation * (k - 1) + 1;
	const transposed = operation === "transposed_convolution";
	const room = n + 2 * padding - reach;
	let out;
	if (transposed) out = (n - 1) * stride - 2 * padding + reach + output_padding;
	else {
		out = Math.floor((room + (ceil_mode ? stride - 1 : 0)) / stride) + 1;
		if (ceil_mode && (out - 1) * stride >= n + padding) out--; // a window may not start beyond the input
	}
	const [big, small] = transposed ? [out, n] : [n, out];
	const touched = new Array(Math.max(big, 0)).fill(0);
	for (let i = 0; i < small; i++) {
		for (let a = 0; a < k; a++) {
			const r = i * stride + a * dilation - padding;
			if (r >= 0 && r < big) touched[r]++;
		}
	}
	return { n, k, reach, out, room, rest: transposed ? 0 : ((room % stride) + stride) % stride, big, small, touched };
}

/** Every link { x, w, y: [row, column], inside }: inside unless big's index lies in the padding. */
export function makeLinks(rows, columns, { operation, stride, padding, dilation }) {
	const all = [];
	const inside = ([r, c]) => r >= 0 && r < rows.big && c >= 0 && c < columns.big;
	for (let i = 0; i < rows.small; i++) {
		for (let j = 0; j < columns.small; j++) {
			for (let a = 0; a < rows.k; a++) {
				for (let b = 0; b < columns.k; b++) {
					const big = [i * stride + a * dilation - padding, j * stride + b * dilation - padding];
					const small = [i, j];
					const [x, y] = operation === "transposed_convolution" ? [small, big] : [big, small];
					all.push({ x, w: [a, b], y, inside: inside(big), weight: 0 });
				}
			}
		}
	}
	return all;
}

/** Writes each link's weight: the kernel's, 1/size of the window, or 1 for its largest input (the first, or shared by ties). */
function weigh(links, picture, kernel, rows, columns, { operation, padding }, ties) {
	if (!isPooling(operation)) {
		for (const link of links) link.weight = at(kernel, link.w);
		return;
	}
	const perWindow = rows.k * columns.k;
	for (let start = 0; start < links.length; start += perWindow) {
		const window = links.slice(start, start + perWindow);
		if (operation === "average_pooling") {
			// torch counts the padding, but not what ceil mode lets a window reach beyond it
			const counted = window.filter(({ x: [r, c] }) => r < rows.n + padding && c < columns.n + padding).length;
			for (const link of window) link.weight = 1 / counted;
		} else {
			const real = window.filter((link) => link.inside);
			const largest = Math.max(...real.map((link) => at(picture, link.x)));
			const winners = real.filter((link) => at(picture, link.x) === largest).slice(0, ties === "first" ? 1 : undefined);
			for (const link of winners) link.weight = 1 / winners.length;
		}
	}
}

/** A (rows, columns) matrix of sums of product(link) over the links that each cell of `grid`, "x", "w" or "y", has. */
export function sums(links, grid, rows, columns, product) {
	const total = matrix(rows, columns, () => 0);
	for (const link of links) {
		const [r, c] = link[grid];
		if (total[r]?.[c] !== undefined) total[r][c] += product(link);
	}
	return total;
}

/** ∂L/∂y of the loss L that `upstream` names. */
export function gradientOf(upstream, y, own) {
	const [rows, columns] = [y.length, y[0].length];
	const rule = {
		ones: () => 1,
		output: (i, j) => y[i][j],
		middle: (i, j) => Number(i === rows >> 1 && j === columns >> 1),
		varied: (i, j) => ((2 * i + 3 * j + 4) % 5) - 2,
		own: (i, j) => at(own, [i, j]),
	}[upstream];
	return matrix(rows, columns, rule);
}

/**
 * Everything the figure shows, from its state: settings, rows and columns (see axis), links, x, w, y, and the gradients dx, dw (null
 * for pooling) and dy. Where there is nothing to compute, `problem` says why.
 */
export function solve(state) {
	const settings = settle(state);
	const { picture, kernel, upstream, gradients, ties } = state;
	const rows = axis(picture.length, settings.size[0], settings);
	const columns = axis(picture[0].length, settings.size[1], settings);
	const solved = { settings, rows, columns, x: picture, problem: problem(rows, columns, settings) };
	if (solved.problem) return solved;
	const links = makeLinks(rows, columns, settings);
	weigh(links, picture, kernel, rows, columns, settings, ties);
	const y = sums(links, "y", rows.out, columns.out, (link) => link.weight * at(picture, link.x));
	const dy = gradientOf(upstream, y, gradients);
	const dx = sums(links, "x", rows.n, columns.n, (link) => link.weight * at(dy, link.y));
	const dw = isPooling(settings.operation) ? null : sums(links, "w", rows.k, columns.k, (link) => at(picture, link.x) * at(dy, link.y));
	return { ...solved, links, w: kernel, y, dy, dx, dw };
}

function problem(rows, columns, { operation, padding }) {
	for (const [name, { n, reach, out }] of [["rows", rows], ["columns", columns]]) {
		if (out < 1 && operation === "transposed_convolution") return `The padding of ${padding} cuts off all ${name} of the output.`;
		if (out < 1) return `The kernel reaches over ${reach} ${name}, the padded input has ${n + 2 * padding}: there is no output.`;
		if (out > LARGEST) return `The output would have ${out} ${name}, and ${LARGEST} are drawn at most: take a smaller stride or input.`;
	}
	return "";
}

/** The links of one cell. */
export const linksOf = (links, grid, [r, c]) => links.filter((link) => link[grid][0] === r && link[grid][1] === c);

/** The picture or kernel with other sides: cut at the right and bottom, or continued with `fill(row, column)`. */
export const resized = (values, rows, columns, fill = (r, c) => values[Math.min(r, values.length - 1)][Math.min(c, values[0].length - 1)]) =>
	matrix(rows, columns, (r, c) => values[r]?.[c] ?? fill(r, c));
