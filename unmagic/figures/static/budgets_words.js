// Budgets in words: numbers with units, one layer, one net, two nets beside each other.

import { format } from "./kit.js";
import { memory } from "./budgets_layers.js";

export const exact = (x) => x.toLocaleString("en-US");

/** Three digits and a prefix: 15.5 G, 553 MB. */
export function short(x, unit = "") {
	let k = x >= 1000 ? Math.min(4, Math.floor(Math.log10(x) / 3)) : 0;
	if (k < 4 && Number((x / 1000 ** k).toPrecision(3)) >= 1000) k++;
	const text = format(x / 1000 ** k);
	return k || unit ? `${text}\u00a0${["", "k", "M", "G", "T"][k]}${unit}` : text;
}

export const bytes = (x) => short(x, "B");
export const shapeText = (shape) => shape.join("×");

/** What the bars can show: value(group, batch) is null where all of the input is seen. */
export const SHOWN = {
	parameters: { label: "parameters", name: "Parameters", value: (group) => group.parameters, text: short, tick: short },
	macs: { label: "multiply–adds", name: "Multiply–adds", value: (group) => group.macs, text: short, tick: short },
	activations: { label: "memory of activations", name: "Bytes kept for the way back", value: (group, batch) => 4 * batch * group.activations, text: bytes, tick: bytes },
	receptive_field: { label: "receptive field", name: "Side of what one place sees, in pixels", value: (group) => group.main.sees?.side ?? null, text: (x) => `${x} px`, tick: exact },
};

/** What one place of a row sees. */
export function sightInWords({ sees, places, shape }, input) {
	const picture = `${input[1]}×${input[0]}`;
	if (!sees) return `Each of its numbers depends on all ${picture} pixels.`;
	const { side, step } = sees;
	const more = side > Math.max(...input) ? ", more than the picture has: the rest is padding" : "";
	const whose = places && places[0] * places[1] > 1 ? `Each of its ${places[1]}×${places[0]} places sees` : `${shape.length > 1 ? "Its one place" : "It"} sees`;
	const apart = places && places[1] > 1 ? `; the next place’s box lies ${step} ${step === 1 ? "pixel" : "pixels"} further` : "";
	return `${whose} ${side}×${side} pixels (the box)${more}${apart}.`;
}

/** One group of rows in sentences: { title, text, sight }. */
export function layerInWords({ main, rows, parameters, macs, activations }, batch, input) {
	const others = rows.filter((row) => row !== main).map((row) => row.kind);
	const last = rows.at(-1);
	const more = others.length ? ` With it go ${others.join(", ")}${shapeText(last.shape) === shapeText(main.shape) ? "" : `, and what leaves is ${shapeText(last.shape)}`}.` : "";
	const kept = `${exact(activations)} numbers${batch > 1 ? ` for each of ${batch} inputs` : ""}, ${bytes(4 * batch * activations)}, kept for the way back`;
	return {
		title: `${main.name}, ${main.kind}`,
		text: `Gives ${shapeText(main.shape)}.${more} ${exact(parameters)} parameters, ${exact(macs)} multiply–adds; ${kept}.`,
		sight: sightInWords(main, input),
	};
}

const share = (part, whole) => `${Math.round((100 * part) / whole)} %`;

/** A net's totals, and how they moved from those at its own size. */
export function netInWords(budget, own) {
	const text = `${exact(budget.parameters)} parameters, ${exact(budget.macs)} multiply–adds, ${exact(budget.activations)} activations.`;
	if (budget.input.join() === own.input.join()) return text;
	const times = (key) => `×\u00a0${format(budget[key] / own[key])}`;
	return `${text} Beside ${own.input[1]}×${own.input[0]} pixels: parameters ${times("parameters")}, multiply–adds ${times("macs")}, activations ${times("activations")}.`;
}

function most(groups, key) {
	return groups.reduce((best, group) => (group[key] > best[key] ? group : best));
}

function whereInWords(name, budget, groups) {
	const [p, m, a] = ["parameters", "macs", "activations"].map((key) => most(groups, key));
	return `${name}: ${share(p.parameters, budget.parameters)} of the parameters are in ${p.main.name}, ${share(m.macs, budget.macs)} of the multiply–adds in ${m.main.name}, ${share(a.activations, budget.activations)} of the activations in and after ${a.main.name}.`;
}

function ratioInWords(a, b, what) {
	const ratio = b / a;
	const percent = Math.round(1000 * Math.abs(ratio - 1)) / 10;
	if (percent < 0.1) return `as many ${what}`;
	if (percent < 20) return `${percent} % ${ratio < 1 ? "fewer" : "more"} ${what}`;
	return ratio < 1 ? `${format(1 / ratio)} times fewer ${what}` : `${format(ratio)} times as many ${what}`;
}

/** Where the nets' budgets go, and the second beside the first. nets: [{ name, budget, groups }…], one or two. */
export function compare(nets, batch) {
	const said = nets.map(({ name, budget, groups }) => whereInWords(name, budget, groups));
	if (nets.length > 1) {
		const [a, b] = nets.map(({ budget }) => budget);
		said.push(`${nets[1].name} beside ${nets[0].name}: ${ratioInWords(a.parameters, b.parameters, "parameters")}, ${ratioInWords(a.macs, b.macs, "multiply–adds")}, ${ratioInWords(a.activations, b.activations, "activations")}.`);
	}
	const needs = nets.map(({ name, budget }) => {
		const { training, testing } = memory(budget, batch);
		return `${name} ${bytes(training)} in training, ${bytes(testing)} in testing`;
	});
	said.push(`Memory with ${batch === 1 ? "one input" : `a batch of ${batch}`}: ${needs.join("; ")}.`);
	return said;
}
