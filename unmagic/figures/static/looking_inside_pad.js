// The pad that the reader draws on, by mouse, finger or keys. Every step can be undone.

import { h } from "./kit.js";
import { centred, counted, FINE, photographed, rastered } from "./looking_inside_drawing.js";

const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const PEN = { 1: 1 / 8, 3: 1 / 10 }; // of the picture's side; for grey ones as in the digits of the data set
const hex = (text) => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16) / 255);

/** The middle of a picture file, (channels, height, width), from 0 to 1. */
function pixels(bitmap, [C, height, width]) {
	const canvas = h("canvas", { width, height });
	const g = canvas.getContext("2d", { willReadFrequently: true });
	g.imageSmoothingQuality = "high";
	g.fillStyle = "#fff";
	g.fillRect(0, 0, width, height); // behind what is transparent
	const scale = Math.min(bitmap.width / width, bitmap.height / height);
	const [w, t] = [width * scale, height * scale];
	g.drawImage(bitmap, (bitmap.width - w) / 2, (bitmap.height - t) / 2, w, t, 0, 0, width, height);
	const { data } = g.getImageData(0, 0, width, height);
	const part = (k, c) => data[4 * k + c] / 255;
	const plane = height * width;
	return Float64Array.from({ length: C * plane }, (_, k) => (C === 3 ? part(k % plane, Math.floor(k / plane)) : 0.299 * part(k, 0) + 0.587 * part(k, 1) + 0.114 * part(k, 2)));
}

export class Pad {
	/** changed(): the drawing, or the pen, is another. */
	constructor(changed) {
		Object.assign(this, { past: [], base: null, strokes: [], pen: [0.5, 0.5], keyed: false, count: 0 });
		this.changed = () => {
			this.count++;
			this.made = null;
			changed();
		};
		const button = (words, onclick) => h("button", { type: "button", onclick }, words);
		this.canvas = h("canvas", { tabindex: 0, role: "application", "aria-label": "Drawing pad. Arrow keys move the pen, with Shift they draw, Space puts a dot, Backspace takes back." });
		this.colour = h("input", { type: "color", value: "#d03030" });
		this.colourRoot = h("label.colour", "Colour", this.colour);
		this.eraser = button("Eraser", () => this.erase(!this.erasing));
		this.undoButton = button("Undo", () => this.undo());
		this.box = h("input", { type: "checkbox", onchange: this.changed });
		this.boxRoot = h("label.check", this.box, "Scale and centre what I draw, as the digits were");
		this.root = h("div.drawing", this.canvas, h("div.bar", this.colourRoot, this.eraser, this.undoButton, button("Clear", () => this.clear())), this.boxRoot);
		this.pointing();
	}

	/** For pictures (channels, height, width); those of fewer than 16 rows are drawn as the digits were. */
	fit(shape) {
		Object.assign(this, { shape, past: [], strokes: [], base: this.empty(shape) });
		this.grey = shape[0] === 1;
		this.colourRoot.hidden = this.grey;
		this.eraser.hidden = this.boxRoot.hidden = !this.grey;
		this.box.checked = this.grey && shape[1] < 16;
		this.erase(false);
		this.changed();
	}

	empty([C, H, W]) {
		return new Float64Array(C * H * W).fill(C === 1 ? 0 : 0.75);
	}

	keep() {
		this.past = [...this.past.slice(-49), { base: this.base, strokes: this.strokes }];
	}

	show(base) {
		this.keep();
		Object.assign(this, { base, strokes: [] });
		this.changed();
	}

	clear() {
		this.erase(false);
		this.show(this.empty(this.shape));
	}

	undo() {
		Object.assign(this, this.past.pop());
		this.changed();
	}

	erase(on) {
		this.erasing = on;
		this.eraser.setAttribute("aria-pressed", on);
	}

	/** What the pad shows, finer than the net's picture. */
	drawn() {
		return rastered(this.base, this.strokes, this.shape);
	}

	picture() {
		const moved = this.box.checked && this.base.every((x) => x === 0);
		this.made ??= counted(rastered(this.base, moved ? centred(this.strokes) : this.strokes, this.shape));
		return this.made;
	}

	put(point) {
		this.keep();
		const colour = this.grey ? [Number(!this.erasing)] : hex(this.colour.value);
		this.strokes = [...this.strokes, { colour, width: PEN[this.shape[0]] * (1 + this.erasing), points: [point] }];
		this.changed();
	}

	draw(point) {
		const stroke = this.strokes.at(-1);
		const [x, y] = stroke.points.at(-1);
		if (Math.hypot(point[0] - x, point[1] - y) < 0.008) return;
		this.strokes = [...this.strokes.slice(0, -1), { ...stroke, points: [...stroke.points, point] }];
		this.changed();
	}

	/** Opens a picture file. Returns what was done to it, in words. */
	async open(file) {
		const bitmap = await createImageBitmap(file).catch(() => {
			throw new Error(`“${file.name}” could not be read; wanted a picture that the browser knows, such as PNG or JPEG`);
		});
		const [, H, W] = this.shape;
		if (!this.grey) {
			this.show(pixels(bitmap, this.shape));
			return `The middle of “${file.name}”, made as small as the net’s pictures`;
		}
		const sides = [4 * FINE * H, 4 * FINE * W];
		const { turned, picture } = photographed(pixels(bitmap, [1, ...sides]), sides, [H, W], this.box.checked);
		this.show(picture);
		return `“${file.name}” in grey${turned ? ", light and dark exchanged" : ""}${this.box.checked ? ", scaled and centred" : ""}`;
	}

	pointing() {
		const { canvas } = this;
		let drawing = null;
		let line = false; // drawn by keys
		const on = (name, heard) => canvas.addEventListener(name, heard);
		const at = ({ clientX, clientY }) => {
			const { left, top, width, height } = canvas.getBoundingClientRect();
			return [(clientX - left) / width, (clientY - top) / height];
		};
		const key = (keyed) => {
			this.keyed = keyed;
			this.changed();
		};
		on("pointerdown", (event) => {
			if (event.button !== 0 || drawing !== null || !this.base) return;
			canvas.setPointerCapture(event.pointerId);
			[drawing, this.keyed] = [event.pointerId, false];
			this.put(at(event));
		});
		on("pointermove", (event) => {
			if (event.pointerId !== drawing) return;
			const all = event.getCoalescedEvents?.() ?? [];
			for (const each of all.length ? all : [event]) this.draw(at(each));
		});
		for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) on(name, (event) => event.pointerId === drawing && (drawing = null));
		on("blur", () => key(false));
		on("keyup", (event) => event.key === "Shift" && (line = false));
		on("keydown", (event) => {
			const way = WAYS[event.key];
			if (event.ctrlKey || event.altKey || event.metaKey || !this.base || !(way || event.key === " " || event.key === "Backspace")) return;
			event.preventDefault();
			const from = this.pen;
			if (way) this.pen = from.map((x, k) => Math.max(0, Math.min(1, x + way[k] / 32)));
			if (event.key === "Backspace") this.undo();
			else if (!way || (event.shiftKey && !line)) this.put(from);
			if (way && event.shiftKey) this.draw(this.pen);
			line = event.shiftKey && (line || Boolean(way));
			key(true);
		});
	}
}
