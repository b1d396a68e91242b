/* The quiz of book/spot-the-mistake.html: which of three formulas is right? It asks what the page's JSON holds (ext/claims.py). */
"use strict";
{
  const ROUND = 10;
  const LETTERS = "ABC";
  const quiz = document.getElementById("quiz");
  const all = JSON.parse(document.getElementById("quiz-data").textContent);
  const chapters = [...new Set(all.map(question => question.chapter))];
  let chapter = "", seed, round, at, right;

  /** Numbers in [0, 1) that follow from the seed (mulberry32). */
  function generator(state) {
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let z = Math.imul(state ^ (state >>> 15), 1 | state);
      z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
      return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
    };
  }

  function shuffled(list, random) {
    const result = [...list];
    for (let i = result.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [result[i], result[j]] = [result[j], result[i]];
    }
    return result;
  }

  /** An element: `make("a", {href: ...}, "text", child, ...)`. */
  function make(name, attributes, ...content) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...content);
    return element;
  }

  function button(label, act, attributes = {}) {
    const element = make("button", {type: "button", ...attributes}, label);
    element.addEventListener("click", act);
    return element;
  }

  function typeset(element) {
    const startup = window.MathJax?.startup; // absent while MathJax loads; it finds the formulas by itself then
    if (startup?.promise) startup.promise = startup.promise.then(() => MathJax.typesetPromise([element]));
  }

  function link(question) {
    return make("a", {href: question.href}, `(${question.number})`);
  }

  function begin(newSeed) {
    seed = newSeed;
    const random = generator(seed);
    const pool = all.filter(question => !chapter || question.chapter === chapter);
    round = shuffled(pool, random).slice(0, ROUND).map(question => ({
      ...question,
      options: shuffled([{latex: question.right}, ...shuffled(question.wrong, random).slice(0, 2)], random),
    }));
    at = right = 0;
    ask();
  }

  const another = () => begin(Math.floor(Math.random() * 1e6));

  function show(title, ...content) {
    const heading = make("h2", {tabindex: "-1"}, title);
    const moved = quiz.contains(document.activeElement);
    quiz.replaceChildren(heading, ...content);
    typeset(quiz);
    if (moved) heading.focus(); // whoever pressed a button reads on from here; nobody is moved when the page opens
  }

  function picker() {
    const select = make("select", {id: "quiz-chapter"}, make("option", {value: ""}, "all chapters"));
    for (const name of chapters) select.append(make("option", {value: name}, name));
    select.value = chapter;
    select.addEventListener("change", () => { chapter = select.value; another(); });
    return make("p", {class: "quiz-picker"}, make("label", {for: "quiz-chapter"}, "Questions from "), select);
  }

  function ask() {
    const question = round[at];
    const options = question.options.map((option, i) => {
      const body = make("div", {class: "quiz-formula math", id: `quiz-${i}`}, `\\[${option.latex}\\]`);
      const choice = button(LETTERS[i], () => answer(i), {"aria-describedby": `quiz-${i}`, "aria-label": `Formula ${LETTERS[i]} is right`});
      const item = make("li", {}, choice, make("div", {class: "quiz-body"}, body));
      body.addEventListener("click", () => choice.click());
      return item;
    });
    show(
      `Question ${at + 1} of ${round.length}`,
      picker(),
      make("p", {}, `${question.chapter}. Which of the three is right?`),
      make("ol", {class: "quiz-options"}, ...options),
      make("div", {class: "quiz-feedback", role: "status", "aria-live": "polite"}),
      make("p", {class: "quiz-score"}, `${right} of ${at} right so far. `, make("span", {class: "quiz-keys"}, "Keys 1, 2 and 3 answer, Enter goes on.")),
    );
  }

  function answer(i) {
    const question = round[at];
    if (question.answer !== undefined) return;
    question.answer = i;
    const good = question.options.findIndex(option => !option.mistake);
    right += i === good;
    quiz.querySelectorAll(".quiz-options li").forEach((item, k) => {
      const {mistake} = question.options[k];
      item.className = mistake ? "wrong" : "right";
      item.querySelector("button").disabled = true;
      item.querySelector(".quiz-body").append(
        make("p", {}, mistake ? `✗ ${mistake}` : `✓ right: ${question.because}`));
    });
    const verdict = i === good ? `${LETTERS[i]} is right.`
      : `${LETTERS[i]} is wrong: ${question.options[i].mistake}. ${LETTERS[good]} is right.`;
    const last = at + 1 === round.length;
    const next = button(last ? "To your mark" : "Next question", () => { at++; last ? finish() : ask(); }, {class: "quiz-next"});
    quiz.querySelector(".quiz-feedback").append(make("p", {}, make("strong", {}, verdict), " It is derived as ", link(question), "."));
    quiz.querySelector(".quiz-score").replaceWith(make("p", {}, next));
    next.focus();
  }

  function finish() {
    const missed = round.filter(question => question.options[question.answer].mistake);
    const mark = right / round.length;
    const words = mark === 1 ? "Nothing gets past you." : mark >= 0.8 ? "A sharp eye." : mark >= 0.5 ? "Halfway there."
      : "Derive a few of them on paper; they will look different afterwards.";
    const again = make("div", {class: "quiz-feedback", role: "status"}, make("p", {}, make("strong", {}, `${right} of ${round.length}. ${words}`)));
    if (missed.length) {
      const list = chapters.filter(name => missed.some(question => question.chapter === name)).map(name => {
        const here = missed.filter(question => question.chapter === name);
        return make("li", {}, make("a", {href: here[0].page}, name), ": ", ...here.flatMap((q, k) => k ? [", ", link(q)] : [link(q)]));
      });
      again.append(make("p", {}, "Read again:"), make("ul", {}, ...list));
    }
    show("Your mark", again, make("p", {}, button("Another round", another, {class: "quiz-next"}), " ", button("The same round again", () => begin(seed))), picker());
  }

  quiz.addEventListener("keydown", event => {
    const choices = quiz.querySelectorAll(".quiz-options button");
    const i = ["1", "2", "3"].indexOf(event.key);
    if (i >= 0 && choices[i] && !event.ctrlKey && !event.altKey && !event.metaKey && event.target.tagName !== "SELECT") choices[i].click();
  });

  const asked = new URLSearchParams(location.search);
  if (chapters.includes(asked.get("chapter"))) chapter = asked.get("chapter");
  asked.has("seed") ? begin(Number(asked.get("seed")) || 0) : another();
}
