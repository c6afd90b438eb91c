// Convolution, forwards and backwards: each pass takes two of x, w and y and makes the third; a cell that is pointed at lights up what
// it is made of, or what it goes to.

import { bigSide, isPooling, resized, solve } from "./convolution.js";
import { canSpread, frames, lit, Place, short } from "./convolution_places.js";
import { idea, PASSES, named, say, sizes, symbol, tiling, typed, unused } from "./convolution_words.js";
import { choice, figureModule, format, h, Live, reducedMotion, slider } from "./kit.js";

const ARITHMETIC = ["operation", "picture", "kernel", "window", "stride", "padding", "dilation", "output_padding", "ceil_mode", "ties", "upstream", "gradients"];
const KEYS = [...ARITHMETIC, "view", "grid", "cell", "spread", "playing", "presets", "pictures", "kernels"];
const STEP = 650; // milliseconds between two cells while it plays
const OPERATIONS = { convolution: "Convolution", transposed_convolution: "Transposed convolution", max_pooling: "Max pooling", average_pooling: "Average pooling" };
const UPSTREAM = { ones: "all 1 (L = Σ y)", varied: "small whole numbers", output: "y itself (L = ½ Σ y²)", middle: "1 in the middle, else 0", own: "my own numbers" };
const PLACES = { x: "input", w: "kernel", y: "output" };
const WAYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -99], End: [0, 99] };

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const titled = (all) => Object.keys(all).map((name) => [name, `${name[0].toUpperCase()}${name.slice(1).replaceAll("_", " ")}`]);

class ConvolutionBothWays extends Live {
	constructor(model, el) {
		super(model, KEYS);
		this.start(el);
	}

	// state

	get view() {
		return isPooling(this.get("operation")) && this.get("view") === "kernel" ? "input" : this.get("view");
	}

	/** The picture or kernel or ∂L/∂y that a place holds and the reader may change: [trait, values], or null. */
	editable(grid) {
		const { value } = PASSES[this.view];
		if (isPooling(this.get("operation")) && grid === "w") return null;
		return { x: ["picture", this.get("picture")], w: ["kernel", this.get("kernel")], dy: ["gradients", this.solved.dy] }[value[grid]] ?? null;
	}

	/** Rows and columns of a grid. */
	sides(grid) {
		const side = { x: "n", w: "k", y: "out" }[grid];
		return [this.solved.rows[side], this.solved.columns[side]];
	}

	/** What is pointed at, inside the grids as they are now. */
	pointed() {
		const grid = isPooling(this.get("operation")) && this.get("grid") === "w" ? "y" : this.get("grid");
		return { grid, cell: this.inside(grid, this.get("cell")) };
	}

	inside(grid, cell) {
		const sides = this.sides(grid);
		return cell.map((k, axis) => Math.max(0, Math.min(k, sides[axis] - 1)));
	}

	point(grid, cell) {
		if (this.get("grid") === grid && same(this.get("cell"), cell)) return;
		this.set({ grid, cell });
	}

	edit(grid, [r, c], value) {
		const [trait, values] = this.editable(grid);
		if (values[r][c] === value) return;
		const changed = values.map((row, k) => (k === r ? row.map((old, n) => (n === c ? value : old)) : [...row]));
		this.set({ [trait]: changed, ...(trait === "gradients" ? { upstream: "own" } : {}) });
		this.compute();
	}

	reset(operation = this.get("operation")) {
		this.set({ operation, playing: false, ...this.get("presets")[operation] });
	}

	/** Another pass: the pointer goes to what shows it best. */
	turn(view) {
		if (this.solved.problem) return this.set({ view });
		const { grid, cell } = this.pointed();
		const middle = (place) => this.sides(place).map((n) => n >> 1);
		if (grid === "y") this.output = cell;
		this.set(view === "kernel" ? { view, grid: "w", cell: middle("w") } : { view, grid: "y", cell: this.output ?? middle("y") });
	}

	/** The next cell of the result; after the last the first, unless that ends a walk. */
	next(walking) {
		if (this.solved.problem) return;
		const { result } = PASSES[this.view];
		const [height, width] = this.sides(result);
		const length = height * width;
		const { grid, cell } = this.pointed();
		const at = grid === result ? cell[0] * width + cell[1] + 1 : 0;
		if (at >= length && walking) this.set({ playing: false });
		else this.set({ grid: result, cell: [Math.floor((at % length) / width), at % width] });
	}

	play() {
		if (reducedMotion()) return this.next(false);
		if (!this.get("playing")) this.next(false);
		this.then = performance.now();
		this.set({ playing: !this.get("playing") });
	}

	compute() {
		const key = JSON.stringify(ARITHMETIC.map((name) => this.get(name)));
		if (key === this.key) return;
		this.key = key;
		this.solved = solve(Object.fromEntries(ARITHMETIC.map((name) => [name, this.get(name)])));
	}

	// what is on the page

	build() {
		this.painting = false;
		this.compute();
		const set = (key) => (value) => this.set({ [key]: value });
		const button = (words, onclick) => h("button", { type: "button", onclick }, words);
		const check = (words, change) => {
			const box = h("input", { type: "checkbox", onchange: () => change(box.checked) });
			return { root: h("label.check", box, words), box };
		};
		const preset = (label, trait) => {
			const all = this.get(`${trait}s`);
			return choice({ label, options: [...titled(all), ["own", "My own"]], input: (name) => all[name] && this.set({ [trait]: all[name] }) });
		};
		this.choices = {
			operation: choice({ label: "Operation", options: Object.entries(OPERATIONS), input: (name) => this.reset(name) }),
			picture: preset("Picture", "picture"),
			kernel: preset("Kernel", "kernel"),
			upstream: choice({ label: "∂L/∂y", options: Object.entries(UPSTREAM), input: (upstream) => this.set(upstream === "own" ? { upstream, gradients: this.solved.dy } : { upstream }) }),
			ties: choice({ label: "Ties", options: [["first", "the first takes all"], ["shared", "share evenly"]], input: set("ties") }),
		};
		const picture = (sides) => (n) => this.set({ picture: resized(this.get("picture"), ...sides(this.get("picture"), n)) });
		const whole = (label, min, max, input) => slider({ label, min, max, step: 1, input });
		this.sliders = {
			stride: whole("Stride s", 1, 4, set("stride")),
			padding: whole("Padding p", 0, 3, set("padding")),
			dilation: whole("Dilation d", 1, 3, set("dilation")),
			output_padding: whole("Output padding o", 0, 3, set("output_padding")),
			size: whole("Size k of the kernel", 1, 5, (n) => (isPooling(this.get("operation")) ? this.set({ window: n }) : this.set({ kernel: resized(this.get("kernel"), n, n, () => 0) }))),
			height: whole("Picture height", 2, 12, picture((x, n) => [n, x[0].length])),
			width: whole("Picture width", 2, 12, picture((x, n) => [x.length, n])),
		};
		this.checks = {
			spread: check("Draw the zeros between and around: it is a convolution with the kernel turned", set("spread")),
			ceil_mode: check("A last window may reach over the edge (ceil mode)", set("ceil_mode")),
		};
		const way = `way-${Math.random().toString(36).slice(2)}`;
		this.ways = Object.entries(PASSES).map(([view, { title, flow }]) => {
			const radio = h("input", { type: "radio", name: way, value: view, onchange: () => this.turn(view) });
			const said = h("i");
			return { view, flow, radio, said, root: h("label", radio, h("span", h("b", title), said)) };
		});
		this.places = Object.fromEntries(Object.keys(PLACES).map((key) => [key, new Place(key)]));
		this.veil = h("div.veil", { "aria-hidden": "true" });
		this.board = h("div.board", this.veil, ...Object.values(this.places).map(({ root }) => root));
		this.pointing();

		this.playButton = button("▶ Walk", () => this.play());
		this.playButton.className = "play";
		this.painter = button("✎ Paint", () => this.paint(!this.painting));
		const number = (more) => h("input", { type: "text", inputmode: "decimal", ...more });
		this.brush = number({ value: "9", "aria-label": "Number of the brush" });
		this.entryName = h("span");
		this.entry = number({ oninput: () => this.enter(), onkeydown: (event) => this.leave(event), onblur: () => this.request() });
		this.entryRoot = h("label.entry", this.entryName, this.entry);

		this.idea = h("p.idea");
		this.formula = h("p.formula");
		this.sum = h("div.sum", { tabindex: 0, role: "group", "aria-label": "The sum in numbers" });
		this.size = h("div.sizes");
		this.tiling = h("p.tiling");
		this.problem = h("p.problem");
		this.live = h("p.unseen", { "aria-live": "polite" });
		const resizes = new ResizeObserver(() => this.request());
		resizes.observe(this.board);
		this.stopped.push(() => resizes.disconnect());
		const { operation, kernel, upstream, ties } = this.choices;
		return h(
			"div.unmagic-live.convolution",
			{ role: "group", "aria-label": "Convolution, forwards and backwards, a live figure" },
			h("div.bar", operation.root, this.choices.picture.root, kernel.root, button("Reset", () => this.reset())),
			h("div.ways", { role: "radiogroup", "aria-label": "Pass" }, ...this.ways.map(({ root }) => root)),
			this.idea,
			this.formula,
			this.problem,
			this.board,
			this.sum,
			h("div.bar.tools", this.playButton, this.painter, this.brush, this.entryRoot, upstream.root, ties.root),
			h("div.settings", ...Object.values(this.sliders).map(({ root }) => root)),
			...Object.values(this.checks).map(({ root }) => root),
			this.size,
			this.tiling,
			h("details", h("summary", "What you see"),
				h("p", "Point at a cell, or Tab to a grid and use the arrow keys. A cell that is made shows what it is made of, a cell that is given where it goes; small numbers are factors (×) and what is added (+). A click holds on to a cell, Esc lets go."),
				h("p", "Type a number, such as 2 or 1/9, to change a cell that is given. With Paint, drag over the picture, or press the space bar."),
				h("p", "Indices count from 0. Dashed cells are padding: zeros where they are read, cut off where a result falls on them. Blue is above zero, orange below. As in PyTorch, what is called a convolution is a correlation.")),
			this.live,
		);
	}

	/** Mouse, finger and keys on the cells. */
	pointing() {
		const cellOf = (target) => {
			const element = target?.closest?.(".cell[data-at]");
			return element && { grid: element.closest(".place").dataset.grid, cell: element.dataset.at.split(",").map(Number), element };
		};
		const on = (name, heard) => this.board.addEventListener(name, (event) => heard(event, cellOf(event.target)));
		const paint = (found) => {
			if (found?.grid !== "x" || !this.editable("x")) return;
			this.point("x", found.cell);
			this.edit("x", found.cell, typed(this.brush.value) ?? 0);
		};
		on("pointerover", (event, found) => {
			const held = this.board.contains(document.activeElement) || document.activeElement === this.entry;
			if (found && event.pointerType === "mouse" && !held && !this.get("playing")) this.point(found.grid, found.cell);
		});
		on("pointerdown", (event, found) => {
			if (!this.painting || event.button !== 0 || found?.grid !== "x") return;
			event.preventDefault();
			this.drag = event.pointerId;
			this.board.setPointerCapture(this.drag);
			paint(found);
		});
		on("pointermove", ({ pointerId, clientX, clientY }) => pointerId === this.drag && paint(cellOf(document.elementFromPoint(clientX, clientY))));
		for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) on(name, () => (this.drag = null));
		on("focusin", (event, found) => {
			if (!found) return;
			this.set({ playing: false });
			this.point(found.grid, found.cell);
		});
		on("click", (event, found) => found?.element.focus({ preventScroll: true }));
		on("keydown", (event, found) => {
			if (!found || event.ctrlKey || event.metaKey || event.altKey) return;
			const { grid, cell } = found;
			const { key } = event;
			if (WAYS[key]) this.walk(grid, cell, WAYS[key]);
			else if (key === "Escape") event.target.blur();
			else if (key === " " && this.painting) paint(found);
			else if (this.editable(grid) && /^([\d.−-]|Enter)$/.test(key)) {
				this.draw();
				this.entry.focus();
				if (key === "Enter") this.entry.select();
				else {
					this.entry.value = key;
					this.enter();
				}
			} else return;
			event.preventDefault();
		});
	}

	/** The cell that an arrow key goes to, as the grid is drawn. */
	walk(grid, [r, c], [down, right]) {
		const way = this.drawn[grid].turned ? -1 : 1;
		const to = this.inside(grid, [r + way * down, c + way * right]);
		this.point(grid, to);
		this.draw();
		this.places[grid].element(to).focus();
	}

	paint(on) {
		this.painting = on;
		if (on && this.view === "input") this.turn("forward"); // where x is seen
		this.request();
	}

	/** The number in the entry, into its cell. */
	enter() {
		const value = typed(this.entry.value);
		this.entry.setAttribute("aria-invalid", value === null);
		const { grid, cell } = this.pointed();
		if (value !== null && this.editable(grid)) this.edit(grid, cell, value);
	}

	leave(event) {
		if (event.key !== "Enter" && event.key !== "Escape") return;
		event.preventDefault();
		const { grid, cell } = this.pointed();
		this.places[grid].element(cell)?.focus();
	}

	// drawing

	tick(time) {
		if (this.get("playing") && reducedMotion()) this.set({ playing: false });
		else if (this.get("playing") && !this.hidden) {
			if (time - (this.then ?? time) >= STEP) {
				this.then = time;
				this.next(true);
			}
			this.then ??= time;
			this.request();
		}
		this.draw();
	}

	draw() {
		this.compute();
		this.showControls();
		const { solved } = this;
		this.problem.textContent = solved.problem;
		this.root.classList.toggle("none", solved.problem !== "");
		if (!solved.problem) this.showBoard();
	}

	showControls() {
		const { solved, view } = this;
		const { settings, rows, columns } = solved;
		const operation = settings.operation;
		const pooling = isPooling(operation);
		const { choices, sliders, checks } = this;
		for (const [name, { show }] of Object.entries(choices)) {
			const [now, all] = [this.get(name), this.get(`${name}s`)];
			show(all ? (Object.keys(all).find((one) => same(all[one], now)) ?? "own") : now);
		}
		sliders.padding.limits(0, pooling ? Math.min(3, this.get("window") >> 1) : 3);
		sliders.output_padding.limits(0, Math.max(1, settings.stride - 1, settings.dilation - 1));
		const shown = { ...settings, size: Math.max(rows.k, columns.k), height: rows.n, width: columns.n };
		for (const [name, control] of Object.entries(sliders)) control.show(shown[name]);
		sliders.size.label(`Size k of the ${pooling ? "window" : "kernel"}`);
		sliders.dilation.root.hidden = operation === "average_pooling";
		sliders.output_padding.root.hidden = operation !== "transposed_convolution" || settings.stride + settings.dilation < 3;
		choices.kernel.root.hidden = pooling;
		choices.upstream.root.hidden = view === "forward";
		choices.ties.root.hidden = operation !== "max_pooling";
		checks.ceil_mode.root.hidden = !pooling;
		checks.ceil_mode.box.checked = settings.ceil_mode;
		checks.spread.root.hidden = Boolean(solved.problem) || !canSpread(solved, view);
		checks.spread.box.checked = this.get("spread");
		for (const way of this.ways) {
			way.radio.checked = way.view === view;
			way.said.textContent = pooling ? way.flow.replace(/, w|w, /, "") : way.flow;
			way.root.hidden = pooling && way.view === "kernel";
		}
		this.playButton.textContent = reducedMotion() ? "Next cell" : this.get("playing") ? "❚❚ Pause" : "▶ Walk";
		this.painter.setAttribute("aria-pressed", this.painting);
		this.brush.hidden = !this.painting;
		this.board.classList.toggle("painting", this.painting);
		const [sentence, formula] = idea(view, settings);
		this.idea.textContent = sentence;
		this.formula.textContent = formula;
		const [general, ...lines] = sizes(solved);
		this.size.replaceChildren(h("p", h("b", "Size: "), general), ...lines.map((line) => h("p", line)));
		this.tiling.textContent = solved.problem ? "" : tiling(solved);
	}

	showBoard() {
		const { solved, view } = this;
		const { grid, cell } = this.pointed();
		const { value, result } = PASSES[view];
		if (grid === "y") this.output = cell;
		const drawn = (this.drawn = frames(solved, { view, grid, spread: this.get("spread") }));
		const values = { x: solved[value.x], w: solved[value.w] ?? solved.w, y: solved[value.y] };
		if (isPooling(solved.settings.operation)) values.w = this.windowWeights(grid, cell);
		const lights = lit(solved, { view, grid, cell }, drawn);
		this.layOut(drawn);
		const never = unused(solved);
		const big = bigSide(solved.settings);
		const won = new Set(solved.settings.operation === "max_pooling" ? solved.links.filter(({ weight }) => weight).map(({ x }) => x.join()) : []);
		for (const [key, place] of Object.entries(this.places)) {
			const { index, filler, turned } = drawn[key];
			const numbers = values[key];
			const most = Math.max(...numbers.flat().map((n) => Math.abs(n ?? 0)), 1e-12);
			const still = key === "w" && isPooling(solved.settings.operation);
			const title = still ? "window’s weights" : `${symbol(view, key)} ${turned ? "turned by 180° ↻" : `· ${PLACES[key]}`}`;
			const role = `${numbers.length} × ${numbers[0].length}${still ? "" : key === result ? ", made here" : ", given"}`;
			place.root.classList.toggle("result", key === result);
			place.show({
				title,
				role,
				label: `${title}, ${role}`,
				frame: drawn[key],
				cells: (R, C) => {
					const at = index(R, C);
					const light = lights[key].get(`${R},${C}`);
					const shown = { tag: light ?? "", at: "", t: 0 };
					const names = (marks) => Object.keys(marks).filter((name) => marks[name]).join(" ");
					const lit = light !== undefined;
					if (!at) return { ...shown, names: names({ lit, pad: true }), ...(filler === "zero" ? { text: "0", label: "0, padding" } : { text: "", label: "cut off" }) };
					const [r, c] = at;
					const number = numbers[r][c];
					const chosen = key === grid && same(at, cell);
					const idle = key === big && (never.rows.includes(r) || never.columns.includes(c));
					return {
						...shown,
						text: number === null ? "" : short(number),
						t: (number ?? 0) / most,
						names: names({ lit, chosen, idle, below: number < 0, won: key === "x" && won.has(at.join()) }),
						label: `row ${r}, column ${c}: ${short(number ?? 0)}${idle ? ", never used" : ""}`,
						at: still ? "" : at.join(),
						stop: chosen || (key !== grid && r + c === 0),
					};
				},
			});
		}
		this.showSum(grid, cell);
		this.connect(grid, cell, lights);
	}

	/** Of pooling: the weight that each place of the window has for what is pointed at; null where there is none. */
	windowWeights(grid, cell) {
		const { links, rows, columns } = this.solved;
		const weights = resized([[null]], rows.k, columns.k);
		for (const link of links) if (link.inside && same(link[grid], cell)) weights[link.w[0]][link.w[1]] = link.weight;
		return weights;
	}

	/** The size of a cell, and whether the places stand in one row, in two, or below one another. */
	layOut(drawn) {
		const width = this.board.clientWidth;
		const { x, w, y } = drawn;
		const aside = 40; // a place's row labels and edges
		const fits = (...columns) => Math.floor((width - columns.length * (aside + 16) + 16) / columns.reduce((a, b) => a + b));
		const ways = [
			["row", fits(x.columns, w.columns, y.columns)],
			["above", Math.min(fits(x.columns), fits(w.columns, y.columns))],
			["below", Math.min(fits(x.columns, w.columns), fits(y.columns))],
			["column", Math.min(fits(x.columns), fits(y.columns))],
		];
		const roomy = ways.find(([, size]) => size >= 30) ?? ways.reduce((best, way) => (way[1] > best[1] * 1.15 ? way : best));
		const size = Math.max(10, Math.min(roomy[1], 46));
		this.board.dataset.layout = roomy[0];
		this.board.classList.toggle("tiny", size < 30);
		this.board.style.setProperty("--cell", `${size}px`);
	}

	showSum(grid, cell) {
		const said = say(this.solved, this.view, grid, cell);
		const parts = said.terms.flatMap(({ text, real, won }, k) => [
			...(k ? [said.join] : []),
			h(won ? "strong" : real ? "span" : "span.pad", text),
		]);
		this.sum.replaceChildren(h("b.head", said.head), " ", ...parts, " ", h("b", said.tail));
		const may = this.editable(grid);
		this.entryRoot.classList.toggle("idle", !may);
		this.entryName.textContent = `${named(this.view, grid, cell)} = `;
		if (!may || document.activeElement === this.entry) return;
		this.entry.value = format(may[1][cell[0]][cell[1]]);
		this.entry.setAttribute("aria-invalid", false);
	}

	/** A veil from the cell that is pointed at to what it lights up. */
	connect(grid, cell, lights) {
		const board = this.board.getBoundingClientRect();
		const corners = (elements) =>
			[...elements].flatMap((element) => {
				const { left, right, top, bottom } = element.getBoundingClientRect();
				return [left, right].flatMap((x) => [top, bottom].map((y) => [x - board.left, y - board.top]));
			});
		const from = corners([this.places[grid].element(cell)]);
		const others = (grid === "w" ? ["x", "y"] : [grid === "x" ? "y" : "x"]).filter((key) => lights[key].size);
		const shapes = others.map((key) => hull([...from, ...corners(this.places[key].cells.querySelectorAll(".lit"))]));
		this.veil.innerHTML = `<svg>${shapes.map((shape) => `<polygon points="${shape.join(" ")}"/>`).join("")}</svg>`;
	}

	/** What a screen reader is told once the reader rests. */
	tell() {
		if (this.get("playing")) return;
		this.compute();
		const { grid, cell } = this.pointed();
		this.live.textContent = this.solved.problem || say(this.solved, this.view, grid, cell).aloud;
	}
}

/** The convex hull of points [x, y] (Andrew's monotone chain). */
function hull(points) {
	const turns = ([ox, oy], [ax, ay], [bx, by]) => (ax - ox) * (by - oy) > (ay - oy) * (bx - ox);
	const chain = (out, point) => {
		while (out.length > 1 && !turns(out.at(-2), out.at(-1), point)) out.pop();
		return [...out, point];
	};
	points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
	return [...points.reduce(chain, []), ...points.reverse().reduce(chain, [])];
}

export default figureModule({
	title: "Convolution both ways",
	keys: KEYS,
	choices: { operation: OPERATIONS, view: PASSES, upstream: UPSTREAM },
	Figure: ConvolutionBothWays,
});
