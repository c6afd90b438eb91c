// What "Budgets" adds to figure.css.

const ROOT = ".unmagic-live.budgets";

export const STYLE = `
${ROOT} > .settings { margin: 0; align-items: end; }
${ROOT} .choice { display: block; }
${ROOT} .choice select { width: 100%; }
${ROOT} .checks { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; margin-top: 0.5rem; }
${ROOT} .nets { display: grid; gap: 1.4rem; margin-top: 0.9rem; }
${ROOT} .net { min-width: 0; padding-top: 0.7rem; border-top: 4px solid var(--own); }
${ROOT} .net.first { --own: var(--batch); }
${ROOT} .net.second { --own: var(--stochastic); }
${ROOT} .net > * { margin-top: 0.5rem; }
${ROOT} .bars { height: 10rem; cursor: col-resize; touch-action: pan-y; }
${ROOT} .name { margin: 0.7rem 0 0.2rem; color: var(--faint); }
${ROOT} .look { display: flex; flex-wrap: wrap; gap: 0.4rem 1rem; align-items: start; }
${ROOT} .look .map { flex: 1 1 11rem; max-width: 15rem; touch-action: pan-y; }
${ROOT} .look .words { flex: 1 1 11rem; min-width: 0; }
${ROOT} .look p { margin: 0 0 0.4rem; overflow-wrap: anywhere; }
${ROOT} .look .title { font-weight: 600; }
${ROOT} .sight { aspect-ratio: 1; border-radius: 0; }
${ROOT} .totals { min-height: 3em; margin-bottom: 0; }
${ROOT} .memory { height: 8.5rem; }
${ROOT} .budgets-verdict { margin-top: 1rem; }
${ROOT} > .bar { margin-top: 0.8rem; }
${ROOT} .rows th { text-align: left; }
${ROOT} .rows th + th { text-align: right; }
${ROOT} .budgets-verdict p { margin: 0 0 0.35rem; }
${ROOT} table { table-layout: fixed; }
${ROOT} table th, ${ROOT} table td, ${ROOT} table th[scope="col"] { white-space: normal !important; overflow-wrap: anywhere; vertical-align: top; }
${ROOT} table tbody td { font-weight: 600; }
${ROOT} .rows tbody td { font-weight: 400 !important; }
${ROOT} .rows { font-size: 0.8em; }
${ROOT} .rows th:first-child { width: 36%; }
${ROOT} .rows th:last-child { width: 14%; }
${ROOT} .rows small { display: block; color: var(--faint); font-size: 1em; }
@container (min-width: 40rem) {
  ${ROOT} .nets.two { grid-template-columns: 1fr 1fr; }
  ${ROOT} > .settings { grid-template-columns: 1fr 1fr; }
}
`;
