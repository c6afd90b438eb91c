// A loss over two weights as a map: tinted bands with contour lines between them, painted once into a canvas of its own.

const hex = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));

/** 256 colours along the given stops (#rrggbb), as one flat array. */
function ramp(stops) {
	const rgb = stops.map(hex);
	const table = new Float32Array(256 * 3);
	for (let i = 0; i < 256; i++) {
		const at = (i / 255) * (rgb.length - 1);
		const k = Math.min(Math.floor(at), rgb.length - 2);
		for (let c = 0; c < 3; c++) table[3 * i + c] = rgb[k][c] + (at - k) * (rgb[k + 1][c] - rgb[k][c]);
	}
	return table;
}

/**
 * Paints surface.shown over surface.view. Heights are log(1 + (J − lowest)/softness), so that floor and walls are seen,
 * computed on a grid of `cell` pixels and interpolated. colours: { stops, line }, each #rrggbb. Returns a canvas.
 */
export function paintMap(surface, width, height, cell, { stops, line }, bands = 15) {
	const [left, right, bottom, top] = surface.view;
	const [columns, rows] = [Math.ceil(width / cell) + 1, Math.ceil(height / cell) + 1];
	const heights = new Float32Array(columns * rows);
	let highest = 0;
	for (let r = 0; r < rows; r++) {
		const y = top - ((r * cell) / height) * (top - bottom);
		for (let c = 0; c < columns; c++) {
			const J = surface.shown(left + ((c * cell) / width) * (right - left), y);
			const value = Math.log1p(Math.max(0, J - surface.lowest) / surface.softness);
			heights[r * columns + c] = value;
			if (value > highest) highest = value;
		}
	}
	const canvas = document.createElement("canvas");
	[canvas.width, canvas.height] = [width, height];
	const g = canvas.getContext("2d");
	const image = g.createImageData(width, height);
	const table = ramp(stops);
	const ink = hex(line);
	const perBand = bands / highest;
	for (let py = 0, out = 0; py < height; py++) {
		const r = Math.floor(py / cell);
		const fy = py / cell - r;
		for (let px = 0; px < width; px++, out += 4) {
			const c = Math.floor(px / cell);
			const fx = px / cell - c;
			const k = r * columns + c;
			const a = heights[k];
			const dx = heights[k + 1] - a;
			const dy = heights[k + columns] - a;
			const twist = heights[k + columns + 1] - a - dx - dy;
			const value = a + fx * dx + fy * (dy + fx * twist);
			const level = value * perBand;
			const whole = Math.floor(level);
			const part = level - whole;
			// distance to the nearest contour in pixels: difference in level over its slope
			const slope = (perBand / cell) * Math.sqrt((dx + fy * twist) ** 2 + (dy + fx * twist) ** 2);
			const distance = Math.min(part, 1 - part) / Math.max(slope, 1e-9);
			const nearFloor = whole === 0 && part < 0.5; // there is no contour at level 0
			const stroke = nearFloor ? 0 : 0.55 * Math.max(0, Math.min(1, 1.4 - distance));
			const shade = 3 * Math.min(255, Math.round((255 * (0.7 * whole + 0.3 * level)) / bands));
			for (let n = 0; n < 3; n++) image.data[out + n] = table[shade + n] + stroke * (ink[n] - table[shade + n]);
			image.data[out + 3] = 255;
		}
	}
	g.putImageData(image, 0, 0);
	return canvas;
}
