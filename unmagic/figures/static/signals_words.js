// What a pass shows, said in sentences with its numbers.

import { format } from "./kit.js";
import { BATCH, NORMALIZATIONS } from "./signals.js";

const FLOAT32 = 1.18e-38; // its smallest normal number

/** The factor by which values[from] becomes values[to], a layer: their geometric mean. */
export const perLayer = (values, from, to) => (values[to] / values[from]) ** (1 / Math.max(1, Math.abs(to - from)));

/** What happened to a size that is `ratio` times what it was. */
export function fate(ratio) {
	if (ratio < 1e-2) return "vanish";
	if (ratio > 1e2) return "explode";
	if (ratio < 0.1) return "shrink";
	return ratio > 10 ? "grow" : "keep their size";
}

const times = (measured, predicted) => `×\u00a0${format(measured)} a layer (theory ×\u00a0${format(predicted)})`;

/** { text, warn, fates } of a pass, beside what `theory` expects of the same settings. */
export function describe(pass, expected, { activation, depth: L, width }) {
	const from = L > 1 ? 1 : 0; // the first layer is like no other
	const [a, g] = [pass.activations, pass.unitGradients];
	const forwards = fate(a[L] / a[from]);
	const backwards = fate(g[from] / g[L]);
	const below = from ? `in layer ${from}` : "at the inputs";
	const said = [
		`Activations ${forwards}: their standard deviation goes from ${format(a[from])} ${below} to ${format(a[L])} in layer ${L}, ${times(perLayer(a, from, L), perLayer(expected.activations, from, L))}.`,
		`Gradients ${backwards} on their way back: from ${format(g[L])} in layer ${L} to ${format(g[from])} ${below}, ${times(perLayer(g, L, from), perLayer(expected.unitGradients, L, from))}.`,
	];
	const layers = pass.idle.slice(1);
	const saturated = layers.reduce((sum, layer) => sum + layer.saturated, 0) / L;
	if (saturated >= 0.005) said.push(`${Math.round(100 * saturated)} % of all activations are saturated: φ′ is below a twentieth of its largest value there.`);
	const { zero, dead, alike } = layers[L - 1];
	if (activation === "relu") said.push(`In layer ${L}, ${Math.round(100 * zero)} % of the activations are 0${dead ? `, and ${dead} of ${width} units are dead: 0 for every example` : ""}.`);
	if (alike > 0.9) said.push(`${alike > 0.999 ? "More than 99.9" : format(100 * alike)} % of the variance in layer ${L} is the same for every example: the inputs can hardly be told apart there.`);
	if (Math.min(...a, ...g) < FLOAT32) said.push("What is below 1.2e−38 is lost in float32; here it is computed in float64.");
	const bad = (word) => word === "vanish" || word === "explode";
	return { text: said.join(" "), warn: bad(forwards) || bad(backwards), fates: [forwards, backwards] };
}

/** By what theory says that layer l multiplies the gradients, with its numbers in place. */
export function factorInWords({ slope, factor, divisor }, l, { normalization, nVar }) {
	const root = `${format(factor[l])}, their standard deviation by its root, ${format(Math.sqrt(factor[l]))}.`;
	const start = `Theory: on its way back through layer ${l} the gradients’ variance is multiplied by`;
	if (normalization === "none") return `${start} n·Var(w) · E[φ′²] = ${format(nVar)} · ${format(slope[l])} = ${root}`;
	const [by, more] = normalization === "batch" ? ["Var(h)", ` · ${BATCH - 2}/${BATCH - 3}`] : ["E[h²]", ""];
	return `${start} E[φ′²] / ${by}${more} = ${format(slope[l])} / ${format(divisor[l])}${more} = ${root} Here h is that of the layer before; the weights’ own size is not in it, for ${NORMALIZATIONS[normalization].label} divides it out.`;
}
