// How pictures, maps and activations are painted.

import { line, sharp } from "./kit.js";

const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
const mix = (a, b, t) => a.map((x, k) => x + (b[k] - x) * t);
const pack = (r, g, b) => (255 << 24) | (b << 16) | (g << 8) | r;

/** Paints what paint(k), packed, says of each pixel, as large as the canvas, framed. */
function put(canvas, [height, width], ink, paint) {
	const size = sharp(canvas);
	const image = new ImageData(width, height);
	const pixels = new Uint32Array(image.data.buffer);
	for (let k = 0; k < height * width; k++) pixels[k] = paint(k);
	const small = (put.small ??= document.createElement("canvas"));
	[small.width, small.height] = [width, height];
	small.getContext("2d").putImageData(image, 0, 0);
	size.g.imageSmoothingEnabled = false;
	size.g.drawImage(small, 0, 0, size.width, size.height);
	frame(size, ink);
	return size;
}

function frame({ g, width, height }, ink) {
	g.strokeStyle = ink.edge;
	g.strokeRect(0.5, 0.5, width - 1, height - 1);
}

export const drawNothing = (canvas, ink) => frame(sharp(canvas), ink);

export function drawPicture(canvas, x, [C, H, W], ink) {
	const [g, b] = C === 3 ? [H * W, 2 * H * W] : [0, 0];
	return put(canvas, [H, W], ink, (k) => pack(255 * x[k], 255 * x[k + g], 255 * x[k + b]));
}

/** A map, perhaps coarser, over the faded picture: full colour where it is largest. */
export function drawMap(canvas, map, [rows, columns], x, [C, H, W], ink) {
	const [paper, dark, heat] = [ink.paper, ink.ink, ink.stochastic].map(rgb);
	const grey = (k) => (C === 3 ? 0.3 * x[k] + 0.59 * x[k + H * W] + 0.11 * x[k + 2 * H * W] : x[k]);
	const most = Math.max(1e-12, ...map);
	const at = (r, q) => map[Math.max(0, Math.min(rows - 1, r)) * columns + Math.max(0, Math.min(columns - 1, q))] / most;
	const fine = H < 32 && rows < H ? 4 : 1;
	const [height, width] = [H * fine, W * fine];
	put(canvas, [height, width], ink, (k) => {
		const [y, z] = [((Math.floor(k / width) + 0.5) * rows) / height - 0.5, (((k % width) + 0.5) * columns) / width - 0.5];
		const [r, q] = [Math.floor(y), Math.floor(z)];
		const [a, b] = [y - r, z - q];
		const share = (1 - a) * ((1 - b) * at(r, q) + b * at(r, q + 1)) + a * ((1 - b) * at(r + 1, q) + b * at(r + 1, q + 1));
		return pack(...mix(mix(paper, dark, 0.35 * grey(Math.floor(k / width / fine) * W + Math.floor((k % width) / fine))), heat, 0.9 * share));
	});
}

/** How a layer's maps, or if flat its numbers, are laid out. */
export function tiling([C, H, W]) {
	if (H * W === 1) return { columns: Math.min(C, 64), rows: Math.ceil(C / 64), flat: true };
	const columns = C <= 16 ? C : [16, 15, 14, 13, 12, 11, 10].find((n) => C % n === 0) ?? 12;
	return { columns, rows: Math.ceil(C / columns), flat: false };
}

/** All maps of a layer: blue above zero, orange below, the strongest in full colour. */
export function drawLayer(canvas, values, [C, H, W], ink) {
	const { columns, rows } = tiling([C, H, W]);
	const ramp = (colour) => Array.from({ length: 256 }, (_, k) => pack(...mix(rgb(ink.paper), rgb(colour), Math.sqrt(k / 255))));
	const [above, below, gap] = [ramp(ink.batch), ramp(ink.stochastic), pack(...rgb(ink.grid))];
	let most = 1e-12;
	for (const x of values) most = Math.max(most, Math.abs(x));
	const [tall, wide] = [H + 1, W + 1];
	put(canvas, [rows * tall - 1, columns * wide - 1], ink, (k) => {
		const [y, x] = [Math.floor(k / (columns * wide - 1)), k % (columns * wide - 1)];
		const [c, r, q] = [Math.floor(y / tall) * columns + Math.floor(x / wide), y % tall, x % wide];
		if (r === H || q === W || c >= C) return gap;
		const value = values[(c * H + r) * W + q];
		return (value > 0 ? above : below)[Math.round((255 * Math.abs(value)) / most)];
	});
}

export function drawPen({ g, width, height }, [x, y], ink) {
	for (const [colour, thick] of [[ink.paper, 4], [ink.accent, 2]]) {
		[g.strokeStyle, g.lineWidth] = [colour, thick];
		line(g, x * width - 10, y * height, x * width + 10, y * height);
		line(g, x * width, y * height - 10, x * width, y * height + 10);
	}
}
