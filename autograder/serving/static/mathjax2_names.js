// formgrader's script waits for MathJax 2's "End" signal before it selects the first answer. MathJax 3 has no Hub:
// keep the names it calls, and signal the end when MathJax 3 has typeset the page.
(() => {
  const listeners = [];
  let ended = false;
  const hub = {
    Startup: { signal: { Interest: (listener) => (ended ? listener("End") : listeners.push(listener)) } },
    Config: () => {},
    Queue: (...calls) => {
      for (const call of calls) {
        if (Array.isArray(call) && call[0] === "Typeset") window.MathJax.typesetPromise?.();
        else if (typeof call === "function") call();
      }
    },
  };
  const end = () => {
    ended = true;
    listeners.splice(0).forEach((listener) => listener("End"));
  };
  window.MathJax = {
    Hub: hub,
    tex: {
      inlineMath: [["$", "$"], ["\\(", "\\)"]],
      displayMath: [["$$", "$$"], ["\\[", "\\]"]],
      processEscapes: true,
      tags: "ams",
      // a student's formula may not hold links, styles or ids: \\href{javascript:…}{…} would be a link in a teacher's page
      packages: { "[-]": ["require"] },
      autoload: { html: [] },
    },
    options: { enableMenu: false },
    startup: {
      ready() {
        window.MathJax.Hub = hub; // MathJax 3 puts its own object in place of this one
        window.MathJax.startup.defaultReady();
        window.MathJax.startup.promise.then(end, end);
      },
    },
  };
})();
