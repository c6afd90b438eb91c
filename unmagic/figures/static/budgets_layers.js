// A net's layers as formulas of its input's size, as unmagic/figures/budgets_layers.py writes them, and what they come to.

const pair = (said) => {
	const [a, b = a] = said.split(",").map(Number);
	return [a, b];
};

/** "12+4@3" → { fixed: 12, terms: [[4, 3]] }: 12, and 4 for each place of map 3. */
function countIn(said) {
	const parts = said.split("+").map((part) => part.split("@").map(Number));
	return { fixed: parts.reduce((sum, [n, i]) => sum + (i === undefined ? n : 0), 0), terms: parts.filter(([, i]) => i !== undefined) };
}

function sight(said) {
	if (said === "-") return null;
	const [side, step, first] = said.split("/");
	const { fixed, terms: [[growth, of] = [0, 0]] } = countIn(side);
	return { side: fixed, growth, of, step: Number(step), first: Number(first) };
}

/** The list that Python's LayerList.text wrote: { shape, elsewhere, fixed, sizes, layers }. */
export function parseLayers(text) {
	const [head, maps, ...lines] = text.split("\n");
	const [channels, height, width, elsewhere, fixed, ...kinds] = head.split(" ");
	const sizes = maps.split(";").filter(Boolean).map((size) => {
		const [source, stride, reach, begin, mode] = size.split(" ");
		return { source: Number(source), stride: pair(stride), reach: pair(reach), begin: pair(begin), mode };
	});
	let above = [];
	let [output, sees] = ["", ""];
	const layers = lines.map((line) => {
		const [name, kind, out, saw, parameters = "0", macs = "0"] = line.split(" ");
		if (out !== "=") output = out;
		if (saw !== "=") sees = saw;
		const [own, shared = "0"] = name.split("^").reverse();
		above = [...above.slice(0, Number(shared)), ...own.split(".")];
		const flat = output[0] === "~";
		const shape = flat || output.includes("@") ? null : output.split("x").map(Number);
		const numbers = shape ? { fixed: shape.reduce((a, b) => a * b), terms: [] } : countIn(flat ? output.slice(1) : output);
		return { name: above.join("."), kind: kinds[kind], shape, flat, output: numbers, sees: sight(sees), parameters: countIn(parameters), macs: countIn(macs) };
	});
	return { shape: [channels, height, width].map(Number), elsewhere: Number(elsewhere), fixed: fixed === "fixed", sizes, layers };
}

function sideOf({ stride, reach, begin, mode }, n, axis) {
	const [s, r] = [stride[axis], reach[axis]];
	if (mode === "=") return r;
	if (mode === "t") return (n - 1) * s + r + 1;
	if (mode === "f") return Math.floor((n - 1 + r) / s) + 1;
	const side = Math.ceil((n - 1 + r) / s) + 1;
	return (side - 1) * s >= n + begin[axis] ? side - 1 : side; // no window begins behind the picture
}

/** [height, width] of every map for an input of `height` pixels and the net's own ratio of sides; map 0 is the input. */
export function mapSides({ shape: [, own, width], sizes }, height) {
	const sides = [[height, Math.floor((width * height) / own + 0.5)]];
	for (const size of sizes) sides.push([0, 1].map((axis) => sideOf(size, sides[size.source][axis], axis)));
	return sides;
}

/** [least, most] pixels of height that the figure offers: from where every map has a place to four times the net's own. */
export function sizeLimits(list) {
	const own = list.shape[1];
	if (list.fixed) return [own, own];
	let least = 1;
	while (least < own && Math.min(...mapSides(list, least).flat()) < 1) least++;
	return [least, 4 * own];
}

/** The budget of an input of `height` pixels, as zoo.budget counts it: { rows, parameters, macs, activations, largest, input }. */
export function countAt(list, height) {
	const sides = mapSides(list, height);
	const at = ({ fixed, terms }) => terms.reduce((sum, [each, i]) => sum + each * sides[i][0] * sides[i][1], fixed);
	const rows = list.layers.map(({ name, kind, shape, flat, output, sees, parameters, macs }) => {
		const numbers = at(output);
		const places = shape || flat ? null : sides[output.terms[0][1]];
		return {
			name,
			kind,
			shape: shape ?? (flat ? [numbers] : [output.terms[0][0], ...places]),
			places,
			parameters: at(parameters),
			macs: at(macs),
			activations: numbers,
			sees: sees && { side: sees.side + sees.growth * sides[sees.of][1], step: sees.step, first: sees.first },
		};
	});
	const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
	const outputs = [list.shape[0] * sides[0][0] * sides[0][1], ...rows.map((row) => row.activations)];
	let largest = 0; // an output and what it is made from
	for (let k = 1; k < outputs.length; k++) largest = Math.max(largest, outputs[k] + outputs[k - 1]);
	return { rows, parameters: sum("parameters") + list.elsewhere, macs: sum("macs"), activations: sum("activations"), largest, input: sides[0] };
}

/** Bytes in float32, with momentum: { weights, gradients, momentum, activations, training, testing } of a batch of inputs. */
export function memory({ parameters, activations, largest }, batch) {
	const [weights, kept] = [4 * parameters, 4 * batch * activations];
	return { weights, gradients: weights, momentum: weights, activations: kept, training: 3 * weights + kept, testing: weights + 4 * batch * largest };
}

/** Layers with weights, each with the rows that follow it; or every row by itself. A group is { rows, main, parameters, macs, activations }. */
export function grouped(rows, alone) {
	const groups = [];
	for (const row of rows) {
		const opens = alone || !groups.length || (row.macs > 0 && groups.at(-1).main.macs > 0);
		if (opens) groups.push({ rows: [], main: row, parameters: 0, macs: 0, activations: 0 });
		const group = groups.at(-1);
		if (!group.main.macs) group.main = row;
		group.rows.push(row);
		for (const key of ["parameters", "macs", "activations"]) group[key] += row[key];
	}
	return groups;
}

/** The number, from 1, of the row that is looked at where nobody said which: the last that sees half of the input's width at most. */
export function rowToLookAt(list) {
	const half = list.shape[2] / 2;
	let found = 1;
	countAt(list, list.shape[1]).rows.forEach(({ sees, places }, k) => {
		if (sees && places && sees.side <= half) found = k + 1;
	});
	return found;
}

/** The place of a map that looks at `part` (0 … 1) of an input of n pixels, and the pixels it sees: { index, from, side }. */
export function placeAt({ side, step, first }, places, n, part) {
	const index = Math.max(0, Math.min(places - 1, Math.round((part * n - first - side / 2) / step)));
	return { index, from: first + index * step, side };
}
