// The server that `make course` starts says so in a cookie. Labs then open with one click; elsewhere they download.
if (document.cookie.split("; ").includes("unmagic_course=1")) {
  for (const link of document.querySelectorAll(".unmagic-open[hidden]")) link.hidden = false;
}
