// How the racers look, on the map, in the plot of the loss and among the unit's points.

import { kept, POINTS } from "./descent.js";
import { format, line, power, steps } from "./kit.js";

/** Told apart by colour, by dash and by marker. */
export const LOOKS = {
	batch: { dash: [], marker: "circle" },
	stochastic: { dash: [2, 3], marker: "triangle" },
	minibatch: { dash: [8, 4], marker: "square" },
	momentum: { dash: [9, 3, 2, 3], marker: "diamond" },
};

const SHAPES = {
	circle: [],
	triangle: [[0, -1.15], [1.05, 0.75], [-1.05, 0.75]],
	square: [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]],
	diamond: [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]],
};

export function marker(g, kind, x, y, size, fill, edge) {
	g.beginPath();
	if (kind === "circle") g.arc(x, y, size * 0.95, 0, 2 * Math.PI);
	else SHAPES[kind].forEach(([dx, dy], k) => g[k ? "lineTo" : "moveTo"](x + size * dx, y + size * dy));
	g.closePath();
	g.setLineDash([]);
	g.fillStyle = fill;
	g.strokeStyle = edge;
	g.lineWidth = 2;
	g.stroke();
	g.fill();
}

/** The same marker and line as SVG, for the list of racers. */
export function swatch(name) {
	const { dash, marker: kind } = LOOKS[name];
	const points = SHAPES[kind].map(([x, y]) => `${20 + 5 * x},${8 + 5 * y}`).join(" ");
	const shape = kind === "circle" ? '<circle cx="20" cy="8" r="4.8"/>' : `<polygon points="${points}"/>`;
	const dashed = `<line x1="1" y1="8" x2="39" y2="8" stroke="currentColor" stroke-width="2.4" stroke-dasharray="${dash.join(" ")}"/>`;
	return `<svg viewBox="0 0 40 16" width="40" height="16" aria-hidden="true" fill="currentColor">${dashed}${shape}</svg>`;
}

/** From weights to pixels of a map of the given size. */
export function projection(view, width, height) {
	const [left, right, bottom, top] = view;
	return {
		x: (w1) => ((w1 - left) / (right - left)) * width,
		y: (w2) => ((top - w2) / (top - bottom)) * height,
		weights: (x, y) => [left + (x / width) * (right - left), top - (y / height) * (top - bottom)],
	};
}

/** One racer's path after `updates` updates: a line, small dots where the steps are long, the marker at its end. */
export function drawPath(g, lane, updates, at, colour, paper, size) {
	const { path, dim } = lane;
	const { dash, marker: kind } = LOOKS[lane.name];
	const trail = new Path2D();
	const dots = new Path2D();
	const few = updates <= 120; // else dots hide the line
	let [x, y] = [at.x(path[0]), at.y(path[1])];
	trail.moveTo(x, y);
	for (let u = 1; u <= updates; u++) {
		if (u < updates && !kept(u, 1500)) continue;
		const nx = at.x(path[u * dim]);
		const ny = at.y(path[u * dim + 1]);
		const far = Math.abs(nx - x) + Math.abs(ny - y);
		if (far < 0.7 && u < updates) continue;
		trail.lineTo(nx, ny);
		if (few && far > 5) {
			dots.moveTo(nx + 2.2, ny);
			dots.arc(nx, ny, 2.2, 0, 2 * Math.PI);
		}
		[x, y] = [nx, ny];
	}
	const gone = lane.divergedAt !== null && updates === path.length / dim - 1;
	g.lineJoin = "round";
	g.strokeStyle = paper;
	g.globalAlpha = gone ? 0 : 0.6;
	g.lineWidth = few ? 4.5 : 3;
	g.setLineDash([]);
	g.stroke(trail);
	g.globalAlpha = gone ? 0.45 : 1; // its zigzag covers the map
	g.strokeStyle = g.fillStyle = colour;
	g.lineWidth = few ? 2 : 1.5;
	g.setLineDash(dash);
	g.stroke(trail);
	g.setLineDash([]);
	g.fill(dots);
	g.globalAlpha = 1;
	return () => {
		if (gone) cross(g, path, dim, at, size, colour, paper);
		else marker(g, kind, x, y, 6.5, colour, paper);
	};
}

/** An ✕ at the last place on the map of a racer that has left it for good. */
function cross(g, path, dim, at, { width, height }, colour, paper) {
	let u = path.length / dim - 1;
	const inside = (x, y) => x >= 0 && x <= width && y >= 0 && y <= height;
	while (u > 0 && !inside(at.x(path[u * dim]), at.y(path[u * dim + 1]))) u--;
	const x = Math.max(8, Math.min(width - 8, at.x(path[u * dim])));
	const y = Math.max(8, Math.min(height - 8, at.y(path[u * dim + 1])));
	arms(g, x, y, [[6, 6], [6, -6]], 3, colour, paper);
}

/** Two crossed lines with a halo, each from (x, y) − arm to (x, y) + arm. */
function arms(g, x, y, both, wide, colour, halo) {
	for (const [stroke, more] of [[halo, 3], [colour, 0]]) {
		g.strokeStyle = stroke;
		g.lineWidth = wide + more;
		for (const [dx, dy] of both) line(g, x - dx, y - dy, x + dx, y + dy);
	}
}

/** What the plot's axis can be, of a row [points shown, updates, J]. */
export const AXES = {
	epochs: { label: "epochs", of: (row) => row[0] / POINTS, rows: (lane) => lane.epochs },
	points: { label: "points shown (log scale)", of: (row) => row[0], rows: (lane) => lane.losses, log: true },
	updates: { label: "updates (log scale)", of: (row) => row[1], rows: (lane) => lane.losses, log: true },
};

/** J − J* of each racer against the chosen axis, up to `shown` points; the scales are those of the whole race. */
export function drawLosses(g, { width, height }, lanes, surface, shown, length, axis, ink) {
	const { of, rows, log, label } = AXES[axis];
	const box = { left: 46, right: width - 12, top: 12, bottom: height - 38 };
	const excess = (J) => Math.max(J - surface.lowest, 1e-16);
	let [low, high] = [Infinity, -Infinity];
	let end = log ? POINTS : length / POINTS;
	for (const lane of lanes) {
		for (const row of rows(lane)) {
			const y = Math.log10(excess(row[2]));
			low = Math.min(low, y);
			high = Math.max(high, y);
			end = Math.max(end, of(row));
		}
	}
	const begin = Math.max(...lanes.map((lane) => Math.log10(excess(lane.losses[0][2]))), -16);
	high = Math.ceil(Math.min(high, begin + 2) + 0.05); // one that diverges leaves through the top
	low = Math.max(Math.floor(Math.min(low, high - 1)), high - 9);
	if (!lanes.length) [low, high] = [-3, 1];
	const X = log ? (v) => Math.log10(Math.max(v, 1)) / Math.log10(end) : (v) => v / end;
	const x = (v) => box.left + X(v) * (box.right - box.left);
	const y = (v) => box.bottom - ((v - low) / (high - low)) * (box.bottom - box.top);

	g.font = "12px system-ui, sans-serif";
	g.lineWidth = 1;
	g.setLineDash([]);
	g.fillStyle = ink.faint;
	g.strokeStyle = ink.grid;
	g.textBaseline = "middle";
	g.textAlign = "right";
	const every = Math.ceil((high - low) / 6);
	for (let k = low; k <= high; k += every) {
		line(g, box.left, y(k), box.right, y(k));
		g.fillText(power(k), box.left - 6, y(k));
	}
	g.textBaseline = "top";
	g.textAlign = "center";
	const ticks = [];
	if (log) for (let v = 1; v <= end * 1.0001; v *= 10) ticks.push(v);
	else for (let v = 0, by = steps(end, 5); v <= end * 1.0001; v += by) ticks.push(v);
	for (const v of ticks) {
		line(g, x(v), box.top, x(v), box.bottom);
		g.fillText(v.toLocaleString("en-US"), Math.min(x(v), width - 14), box.bottom + 6);
	}
	g.fillText(label, (box.left + box.right) / 2, box.bottom + 22);

	g.save();
	g.beginPath();
	g.rect(box.left, 0, width - box.left, box.bottom + 6);
	g.clip();
	const ends = [];
	for (const lane of lanes) {
		g.strokeStyle = ink[lane.name];
		g.lineWidth = 2;
		g.setLineDash(LOOKS[lane.name].dash);
		g.beginPath();
		const updates = lane.updatesAt(shown);
		let [px, py] = [0, 0];
		const go = (row, k) => {
			[px, py] = [x(of(row)), y(Math.log10(excess(row[2])))];
			g[k ? "lineTo" : "moveTo"](px, py);
		};
		rows(lane).filter((row) => row[1] <= updates).forEach(go);
		const at = Math.min(shown, lane.divergedAt ?? Infinity);
		go([at, updates, surface.loss(lane.weights(updates))], 1);
		g.stroke();
		ends.push(() => {
			const gone = lane.divergedAt !== null && lane.divergedAt <= shown;
			if (!gone) marker(g, LOOKS[lane.name].marker, px, Math.max(py, box.top - 4), 5, ink[lane.name], ink.paper);
		});
	}
	ends.forEach((draw) => draw());
	g.restore();
}

/** The unit's points and, for each racer, the line w1 x1 + w2 x2 + b = 0 on which its output changes sign. */
export function drawUnit(g, { width, height }, surface, lanes, shown, ink) {
	const span = (k) => [Math.min(...surface.data.map((p) => p.x[k])), Math.max(...surface.data.map((p) => p.x[k]))];
	const [[left, right], [bottom, top]] = [span(0), span(1)];
	const scale = Math.min((width - 30) / (right - left), (height - 30) / (top - bottom)); // one for both axes
	const x = (v) => width / 2 + (v - (left + right) / 2) * scale;
	const y = (v) => height / 2 - (v - (bottom + top) / 2) * scale;
	g.strokeStyle = ink.grid;
	g.lineWidth = 1;
	g.setLineDash([]);
	g.strokeRect(x(0), -9, width, height + 9); // the axes
	g.strokeRect(-9, y(0), width + 9, height);
	for (const { x: p, t } of surface.data) {
		g.strokeStyle = g.fillStyle = ink.ink;
		g.lineWidth = 1.4;
		g.beginPath();
		g.arc(x(p[0]), y(p[1]), 3.4, 0, 2 * Math.PI);
		if (t > 0) g.fill();
		else g.stroke();
	}
	for (const lane of lanes) {
		const [w1, w2, b] = lane.weights(lane.updatesAt(shown));
		const norm = Math.hypot(w1, w2);
		if (!(norm > 1e-9)) continue;
		const [px, py] = [x((-b * w1) / norm ** 2), y((-b * w2) / norm ** 2)];
		const [dx, dy] = [(w2 / norm) * 2e3, (w1 / norm) * 2e3];
		g.strokeStyle = ink[lane.name];
		g.lineWidth = 2;
		g.setLineDash(LOOKS[lane.name].dash);
		line(g, px - dx, py - dy, px + dx, py + dy);
	}
}

/** Ticks of w1 and w2 along the edges of the map, the points' own minima, the minimum. */
export function drawMapMarks(g, { width, height }, surface, at, ink) {
	const [left, right, bottom, top] = surface.view;
	g.font = "12px system-ui, sans-serif";
	g.lineWidth = 3;
	g.lineJoin = "round";
	const say = (text, x, y) => {
		g.strokeStyle = ink.paper;
		g.fillStyle = ink.faint;
		g.globalAlpha = 0.8;
		g.strokeText(text, x, y);
		g.globalAlpha = 1;
		g.fillText(text, x, y);
	};
	const by = steps(right - left, width > 420 ? 8 : 4);
	g.textAlign = "center";
	g.textBaseline = "bottom";
	for (let v = Math.ceil(left / by) * by; v <= right; v += by) {
		if (at.x(v) > 34 && at.x(v) < width - 34) say(format(Math.round(v / by) * by), at.x(v), height - 4);
	}
	say("w₁", width - 14, height - 4);
	g.textAlign = "left";
	g.textBaseline = "middle";
	for (let v = Math.ceil(bottom / by) * by; v <= top; v += by) {
		if (at.y(v) > 30 && at.y(v) < height - 26) say(format(Math.round(v / by) * by), 6, at.y(v));
	}
	say("w₂", 6, 12);
	if (surface.centres) {
		g.fillStyle = ink.faint;
		g.globalAlpha = 0.55;
		for (const [w1, w2] of surface.centres) {
			g.beginPath();
			g.arc(at.x(w1), at.y(w2), 1.8, 0, 2 * Math.PI);
			g.fill();
		}
		g.globalAlpha = 1;
	}
	const [x, y] = [at.x(surface.minimum[0]), at.y(surface.minimum[1])];
	arms(g, x, y, [[6, 0], [0, 6]], 2, ink.ink, ink.paper);
}
