// The server that `make course` starts says so in a cookie. Labs then open with one click; elsewhere they download.
if (document.cookie.split("; ").includes("unmagic_course=1")) {
  for (const link of document.querySelectorAll(".unmagic-open[hidden]")) link.hidden = false;
}

// What scrolls sideways is reached by the keyboard, also when it was hidden or not typeset when the page came.
const scrollable = "pre, .bd-article div.math, mjx-container[display=true], .unmagic-still-box, .pst-scrollable-table-container, .bd-article .output";
const mark = () => {
  for (const element of document.querySelectorAll(scrollable)) {
    if (element.scrollWidth > element.clientWidth && element.clientWidth) element.tabIndex = 0;
  }
};
mark();
addEventListener("resize", mark);
document.addEventListener("toggle", mark, true);
addEventListener("load", () => window.MathJax?.startup?.promise?.then(mark));
