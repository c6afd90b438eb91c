// A drawing, and the picture that a net is given of it.

export const FINE = 4; // a pixel of the net's picture is FINE × FINE of the drawing's

/** Paints a line with a round pen into raster, all in its pixels. */
function stamp(raster, [C, height, width], [x1, y1], [x2, y2], radius, colour) {
	const [dx, dy] = [x2 - x1, y2 - y1];
	const length = dx * dx + dy * dy;
	const top = Math.max(0, Math.floor(Math.min(y1, y2) - radius));
	const bottom = Math.min(height, Math.ceil(Math.max(y1, y2) + radius));
	const left = Math.max(0, Math.floor(Math.min(x1, x2) - radius));
	const right = Math.min(width, Math.ceil(Math.max(x1, x2) + radius));
	for (let r = top; r < bottom; r++) {
		for (let q = left; q < right; q++) {
			const [x, y] = [q + 0.5 - x1, r + 0.5 - y1];
			const along = length ? Math.max(0, Math.min(1, (x * dx + y * dy) / length)) : 0;
			if ((x - along * dx) ** 2 + (y - along * dy) ** 2 > radius * radius) continue;
			for (let c = 0; c < C; c++) raster[(c * height + r) * width + q] = colour[c];
		}
	}
}

/**
 * Strokes moved and scaled as the data set's digits were: as high as the picture, at most ¾ as wide, in its middle, the pen as thick.
 * Strokes are { colour, width, points: [[x, y]…] }, from 0 to 1; those that erase (colour 0) follow.
 */
export function centred(strokes) {
	const ink = strokes.filter(({ colour }) => colour.some(Boolean)).flatMap(({ points }) => points);
	if (!ink.length) return strokes;
	const pen = strokes[0].width;
	const [[x0, x1], [y0, y1]] = [0, 1].map((axis) => ink.reduce(([low, high], p) => [Math.min(low, p[axis]), Math.max(high, p[axis])], [1, 0]));
	const scale = Math.min((1 - pen) / Math.max(y1 - y0, 0.15), (0.75 - pen) / Math.max(x1 - x0, 0.02));
	const move = ([x, y]) => [0.5 + (x - (x0 + x1) / 2) * scale, 0.5 + (y - (y0 + y1) / 2) * scale];
	return strokes.map((stroke) => ({ ...stroke, points: stroke.points.map(move) }));
}

/** Strokes on a picture, FINE times as fine: { raster, shape }. */
export function rastered(base, strokes, [C, H, W]) {
	const shape = [C, H * FINE, W * FINE];
	const raster = new Float64Array(C * H * W * FINE * FINE);
	for (let k = 0; k < C * shape[1]; k++) {
		const row = Math.floor(k / FINE) * W;
		for (let q = 0; q < shape[2]; q++) raster[k * shape[2] + q] = base[row + Math.floor(q / FINE)];
	}
	for (const { colour, width, points } of strokes) {
		const at = ([x, y]) => [x * shape[2], y * shape[1]];
		points.forEach((point, k) => stamp(raster, shape, at(points[Math.max(0, k - 1)]), at(point), (width / 2) * Math.min(shape[1], shape[2]), colour));
	}
	return { raster, shape };
}

/** Each pixel the mean of its FINE × FINE: of black and white, how many are white. */
export function counted({ raster, shape: [C, height, width] }) {
	const x = new Float64Array((C * height * width) / FINE ** 2);
	const W = width / FINE;
	for (let k = 0; k < C * height; k++) for (let q = 0; q < width; q++) x[Math.floor(k / FINE) * W + Math.floor(q / FINE)] += raster[k * width + q] / FINE ** 2;
	return x;
}

/**
 * A grey photograph (height, width) for a net of white digits on black: exchanged when its border is light, spread from black to white.
 * With `fit`, what is bright is placed as in `centred`, in black and white. Returns { turned, picture: of `sides` }.
 */
export function photographed(grey, [height, width], sides, fit) {
	const border = grey.filter((_, k) => k < width || k >= (height - 1) * width || k % width === 0 || k % width === width - 1);
	const turned = border.reduce((a, b) => a + b, 0) / border.length > 0.5;
	const [low, high] = grey.reduce(([a, b], g) => [Math.min(a, g), Math.max(b, g)], [1, 0]);
	const bright = (x, y) => {
		const inside = x >= 0 && x < width && y >= 0 && y < height && high > low;
		const g = inside ? (grey[Math.floor(y) * width + Math.floor(x)] - low) / (high - low) : Number(turned);
		return turned ? 1 - g : g;
	};
	let [left, top, right, bottom] = fit ? [width, height, 0, 0] : [0, 0, width, height];
	grey.forEach((_, k) => {
		const [x, y] = [k % width, Math.floor(k / width)];
		if (fit && bright(x, y) > 0.5) [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
	});
	const [tall, wide] = sides.map((n) => n * FINE);
	const scale = fit ? Math.max((bottom - top) / tall, (right - left) / (0.75 * wide)) : height / tall;
	const at = (k) => [(left + right) / 2 + ((k % wide) + 0.5 - wide / 2) * scale, (top + bottom) / 2 + (Math.floor(k / wide) + 0.5 - tall / 2) * scale];
	const raster = Float64Array.from({ length: tall * wide }, (_, k) => bright(...at(k)));
	return { turned, picture: counted({ raster: fit ? raster.map(Math.round) : raster, shape: [1, tall, wide] }) };
}
