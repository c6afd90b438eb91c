// Random numbers that are the same in every browser and in Python.

/** Marsaglia's xorshift32 (Xorshift RNGs, J. Stat. Software 8(14), 2003; shifts 13, 17, 5). Returns uniform() in [0, 1). */
export function randomStream(seed) {
	let x = Math.imul(seed + 1, 0x9e3779b1) >>> 0 || 1;
	const uniform = () => {
		x ^= x << 13;
		x ^= x >>> 17;
		x ^= x << 5;
		return (x >>> 0) / 2 ** 32;
	};
	for (let i = 0; i < 16; i++) uniform(); // small seeds start alike: let them part
	return uniform;
}

/** A number from the standard normal distribution, from two uniform ones (Box & Muller 1958). */
export const normal = (uniform) => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
