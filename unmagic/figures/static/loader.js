// Brings the figures of a static page to life: each <div class="unmagic-figure" data-figure="name" data-state="{…}"> gets the module
// name.js beside this file and a model with the methods that a widget's has.

/** A widget model without a kernel: get, set, on, off, save_changes, send. */
export function pageModel(state) {
	const values = { ...state };
	const listeners = new Map();
	const tell = (event, ...details) => [...(listeners.get(event) ?? [])].forEach((listener) => listener(...details));
	return {
		get: (key) => values[key],
		set(key, value) {
			if (values[key] === value) return;
			values[key] = value;
			tell(`change:${key}`);
			tell("change");
		},
		on(event, listener) {
			if (!listeners.has(event)) listeners.set(event, new Set());
			listeners.get(event).add(listener);
		},
		off(event, listener) {
			listeners.get(event)?.delete(listener);
		},
		save_changes() {}, // there is nobody to tell
		send() {},
	};
}

function style(name) {
	const href = new URL(name, import.meta.url).href;
	const there = [...document.styleSheets].some((sheet) => sheet.href?.split("?")[0] === href);
	if (there || document.querySelector(`link[href="${href}"]`)) return null;
	const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
	const loaded = new Promise((resolve, reject) => {
		link.onload = resolve;
		link.onerror = () => reject(new Error(`the style sheet ${href} could not be loaded`));
	});
	document.head.append(link);
	return loaded;
}

/** The still that readers without scripts see, and why they see it. */
export function explain(element, problem) {
	const still = element.querySelector("noscript")?.textContent ?? "";
	element.innerHTML = `<p role="alert"></p>${still}`;
	element.firstChild.textContent = `This live figure could not start: ${problem}.`;
}

export async function start(element) {
	if (element.dataset.alive) return;
	element.dataset.alive = "starting";
	try {
		const { figure: name, state } = element.dataset;
		if (!/^[a-z_]+$/.test(name ?? "")) throw new Error(`data-figure is “${name}”, wanted is the name of a figure such as descent_race`);
		const [module] = await Promise.all([import(`./${name}.js`), style("figure.css")]);
		await module.default.render({ model: pageModel(JSON.parse(state)), el: element });
		element.dataset.alive = "yes";
	} catch (problem) {
		element.dataset.alive = "no";
		explain(element, problem.message);
	}
}

for (const element of document.querySelectorAll(".unmagic-figure[data-figure]")) start(element);
