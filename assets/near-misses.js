/* Typesets the near misses of a claim when they are unfolded for the first time. */
"use strict";
for (const details of document.querySelectorAll("details.near-misses")) {
  details.addEventListener("toggle", () => {
    for (const formula of details.querySelectorAll(".latex")) formula.classList.add("math"); // the class that MathJax looks for
    MathJax.startup.promise = MathJax.startup.promise.then(() => MathJax.typesetPromise([details]));
  }, {once: true});
}
