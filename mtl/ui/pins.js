// The strip of pins.html: what the model said of each pinned sentence at the look that the slider shows, and what flipped at it. The cursor of
// the curves and the slider follow each other by the event `mtl-step`.
const root = element.querySelector('.mtl-pins'), list = root.querySelector('ol'), slider = root.querySelector('[type=range]');
const [about, output, ticks] = ['h2 small', 'output', '.mtl-flips'].map((part) => root.querySelector(part));
const [offers, form, hint, hard] = ['.mtl-offers', 'form', '.mtl-hint', '.mtl-offers > div'].map((part) => root.querySelector(part));
const HUES = 8, TYPE_HUES = 10, MOST = 5, SHORT = 60;
const rows = new Map();  // of each sentence, by id
let shown = {run: '', state: null, data: null}, looks = [], held = null, peeked = null;  // held, peeked: steps; null: the last look

const make = (tag, properties = {}, ...children) => {
  const part = Object.assign(document.createElement(tag), properties);
  part.append(...children);
  return part;
};
const write = (part, text) => { if (part.textContent !== text) part.textContent = text; };
// Fills `part` with what `draw` makes of `value`, unless it shows that already
const fill = (part, value, draw) => {
  const key = JSON.stringify(value);
  if (part.drawn === key) return;
  part.drawn = key;
  part.replaceChildren(...draw());
};
const number = (step) => step.toLocaleString('en');
const cut = (text) => (text.length > SHORT ? `${[...text].slice(0, SHORT).join('')}\u2026` : text);
const percent = (share) => (share === null ? '' : `${Math.round(100 * share)} %`);
const tasks = () => shown.data?.tasks ?? [];
const sentences = () => shown.data?.pins?.sentences ?? [];
const marksText = (place) => Boolean(shown.data?.pins?.labels?.[place]);
const mayPin = () => props.value === 'pin';

// What an answer says, in words
const spoken = ([, ...items], text) => items.map(([words, , start, end]) => (
  start === undefined ? words : `${[...text].slice(start, end).join('')} = ${words}`)).join(', ') || 'nothing';
// Whether it says something else than before: a number, which always moves a little, does if it is right now and was not, or the reverse
const differs = (one, other) => one[0] !== other[0] || (one[1]?.[1] !== null
  && JSON.stringify(one.map((item) => item?.toSpliced?.(1, 1))) !== JSON.stringify(other.map((item) => item?.toSpliced?.(1, 1))));

// All looks since the first one at a sentence that is pinned now: the answers then, by id, and the flips, [id, task, words, is right, was right]
const fold = () => {
  const texts = new Map(sentences().map(([id, text]) => [id, text])), folded = [];
  for (const [step, changed] of shown.data?.pins?.looks ?? []) {
    const last = folded.at(-1), known = changed.filter(([id]) => texts.has(id));
    if (!last && !known.length) continue;
    const flips = known.flatMap(([id, answers]) => answers.map((answer, place) => {
      const before = last?.answers[id]?.[place], text = texts.get(id);
      return before && differs(answer, before) ? [id, place, spoken(answer, text), answer[0], before[0]] : null;
    }).filter(Boolean));
    const answers = {...last?.answers, ...Object.fromEntries(known)};
    if (last?.step === step) Object.assign(last, {answers, flips: [...last.flips, ...flips]});  // a new pin is answered at once
    else folded.push({step, answers, flips});
  }
  return folded;
};
const place = () => {
  const step = peeked ?? held, last = looks.length - 1;
  return step === null ? last : Math.max(0, looks.findLastIndex((look) => look.step <= step));
};
const tellCurves = (step) => document.dispatchEvent(new CustomEvent('mtl-step', {detail: {step, by: element}}));
const goTo = (index) => {
  held = index >= looks.length - 1 ? null : looks[index].step;
  peeked = null;
  tellCurves(held);
  draw();
};

// Drawing

// What was learned and what was forgotten up to a look, a sentence a task
const story = (id, index) => tasks().flatMap(([name], task) => {
  const times = {learned: 0, forgot: 0};
  let before = null, told = null;
  for (const {step, answers} of looks.slice(0, index + 1)) {
    const isRight = answers[id]?.[task][0] ?? null;
    if (isRight !== null && before !== null && isRight !== before) {
      const what = isRight ? 'learned' : 'forgot';
      times[what] += 1;
      told = [what, name, step, times[what] > 1 ? 'again ' : ''];
    }
    before = isRight ?? before;
  }
  return told ? [told] : [];
});
const verdict = (isRight, truth) => (isRight === null ? [] : [make('b', {
  className: isRight ? 'mtl-is-right' : 'mtl-is-wrong', title: isRight ? 'right' : `it should be: ${truth}`},
make('span', {textContent: isRight ? '\u2713' : '\u2717', ariaHidden: 'true'}), make('span', {className: 'mtl-unseen', textContent: isRight ? ' right' : ' wrong'}))]);
const words = (truth) => truth?.join(', ') || 'nothing';

const marked = (text, [, ...items], labels, flipped) => {
  const characters = [...text], parts = [];
  let end = 0;
  for (const [label, share, from, to] of items) {
    const mark = make('mark', {title: percent(share)}, characters.slice(from, to).join(''), make('sub', {}, make('bdi', {textContent: label})));
    mark.style.setProperty('--c', `var(--type-${labels.indexOf(label) % TYPE_HUES + 1})`);
    if (flipped && !flipped.some((other) => other[0] === label && other[2] === from && other[3] === to)) mark.className = 'mtl-flip';
    parts.push(characters.slice(end, from).join(''), mark);
    end = to;
  }
  return [...parts, characters.slice(end).join('')];
};
const bar = (task, answer, truth, isFlipped) => {
  const [isRight, ...items] = answer, [first] = items, row = make('li', {});
  row.style.setProperty('--c', `var(--task-${task % HUES + 1})`);
  row.append(make('span', {}, make('small', {}, make('bdi', {textContent: tasks()[task][0]})), ' ',
    make(isFlipped ? 'em' : 'bdi', {className: isFlipped ? 'mtl-flip' : '', textContent: items.map(([each]) => each).join(', ') || 'none'})));
  const fillOf = make('i');
  fillOf.style.width = `${100 * Math.min(...items.map(([, share]) => share ?? 0), 1)}%`;
  row.append(...(first && first[1] !== null ? [make('u', {}, fillOf), make('span', {textContent: percent(first[1])})] : [make('span'), make('span')]));
  row.append(make('span', {}, ...verdict(isRight, words(truth))));
  if (isRight === false) row.append(make('small', {className: 'mtl-should'}, 'it should be ', make('bdi', {textContent: words(truth)})));
  return row;
};
const addRow = (id, text) => {
  const part = {row: make('li'), text: make('div'), bars: make('ul'), story: make('p', {className: 'mtl-hint'}),
    remove: make('button', {type: 'button', className: 'mtl-link', textContent: '\u00d7', title: 'Take it away', ariaLabel: `Take away: ${text}`})};
  part.remove.addEventListener('click', () => trigger('input', {action: 'unpin', value: id}));
  part.row.append(part.text, part.bars, part.remove, part.story);
  list.append(part.row);
  rows.set(id, part);
  return part;
};
const drawRow = ([id, text, truth], index) => {
  const part = rows.get(id) ?? addRow(id, text), answers = looks[index]?.answers[id];
  const before = looks[index - 1]?.answers[id], flips = (looks[index]?.flips ?? []).filter(([of]) => of === id).map(([, task]) => task);
  fill(part.text, [text, answers, before, truth], () => {
    const tagged = answers ? tasks().map((_, task) => task).filter(marksText) : [];
    if (!tagged.length) return [make('div', {dir: 'auto', textContent: text})];
    return tagged.map((task) => make('div', {dir: 'auto'}, ...marked(text, answers[task], shown.data.pins.labels[task], before?.[task].slice(1)),
      ' ', ...verdict(answers[task][0], words(truth[task])),
      ...(answers[task][0] === false ? [make('small', {className: 'mtl-should'}, ' it should be ', make('bdi', {textContent: words(truth[task])}))] : [])));
  });
  fill(part.bars, [answers, flips, truth], () => (answers ?? []).flatMap((answer, task) => (
    marksText(task) ? [] : [bar(task, answer, truth[task], flips.includes(task))])));
  const told = answers ? story(id, index) : [];
  write(part.story, answers ? told.map(([what, name, step, again]) => `${what} ${name} ${again}at step ${number(step)}`).join('; ')
    : 'Not asked yet at this step.');
  part.remove.hidden = !mayPin();
};
const sort = ([, , , isRight, wasRight]) => (isRight === wasRight ? 'changed' : isRight ? 'learned' : 'forgot');
const flipsInWords = ({flips}) => {
  const texts = new Map(sentences().map(([id, text]) => [id, cut(text)]));
  return flips.map((flip) => `${{learned: 'learned: ', forgot: 'forgot: '}[sort(flip)] ?? ''}${tasks()[flip[1]][0]} became ${flip[2]} in \u201c${
    texts.get(flip[0])}\u201d`).join('; ');
};
const drawTicks = () => fill(ticks, [looks.map(({step, flips}) => [step, flips]), sentences()], () => looks.map((look, index) => [look, index]).filter(
  ([{flips}]) => flips.length).map(([look, index]) => {
  const tick = make('i', {title: `Step ${number(look.step)}: ${flipsInWords(look)}`}), sorts = look.flips.map(sort);
  tick.dataset.sort = ['forgot', 'learned', 'changed'].find((each) => sorts.includes(each));
  tick.style.setProperty('--at', index / Math.max(1, looks.length - 1));
  tick.addEventListener('click', () => goTo(index));
  return tick;
}));
const drawOffers = () => {
  offers.hidden = !mayPin();
  if (offers.hidden) return;
  const isFull = sentences().length >= MOST, offered = isFull ? [] : shown.data?.pins?.hard ?? [];
  for (const part of [form.elements[0], form.elements[1]]) part.disabled = isFull;
  form.elements[0].placeholder = isFull ? 'five are pinned; take one away to pin another' : 'your own, up to 300 characters; who has the link to this run sees it';
  hint.hidden = !offered.length;
  fill(hard, offered, () => offered.map(([text, why]) => make('button', {type: 'button', className: 'mtl-ghost', title: text,
    onclick: () => trigger('input', {action: 'pin', value: text})}, make('bdi', {textContent: cut(text)}), make('small', {textContent: ` ${why}`}))));
};
const draw = () => {
  root.hidden = !shown.data?.pins && !mayPin();
  if (root.hidden) return;
  for (const [id, part] of rows) {
    if (sentences().some(([kept]) => kept === id)) continue;
    if (part.row.contains(document.activeElement)) form.elements[0].focus();
    part.row.remove();
    rows.delete(id);
  }
  const index = place(), look = looks[index], isLast = index === looks.length - 1, flips = look?.flips.length ?? 0;
  sentences().forEach((sentence) => drawRow(sentence, index));
  if (form.elements[0].value && sentences().some(([, text]) => text === form.elements[0].value.trim())) form.elements[0].value = '';
  drawTicks();
  drawOffers();
  root.querySelector('.mtl-scrub').hidden = !look;
  if (!look) { write(about, 'Pin one to see what is said of it at every look.'); return; }
  write(about, `${isLast ? 'at the last look, step' : 'as of step'} ${number(look.step)}` + (index ? `; ${flips || 'no'} answer${flips === 1 ? '' : 's'} changed since step ${number(looks[index - 1].step)}` : ''));
  write(output, isLast ? `now, step ${number(look.step)}` : `step ${number(look.step)} of ${number(looks.at(-1).step)}`);
  slider.max = looks.length - 1;
  if (Number(slider.value) !== index) slider.value = index;
  const told = `step ${number(look.step)}${isLast ? ', the last look' : ''}: ${flipsInWords(look) || 'nothing changed'}`;
  // a screen reader would read out every update
  if (!(isLast && document.activeElement === slider && slider.hasAttribute('aria-valuetext')) || slider.dataset.moved) slider.setAttribute('aria-valuetext', told);
  delete slider.dataset.moved;
  const [back, on] = root.querySelectorAll('[data-do]');
  back.disabled = !looks.slice(0, index).some((each) => each.flips.length);
  on.disabled = !looks.slice(index + 1).some((each) => each.flips.length);
};

// What a person does

slider.addEventListener('input', () => { slider.dataset.moved = 'yes'; goTo(Number(slider.value)); });
root.querySelector('[data-do=back]').addEventListener('click', () => goTo(looks.slice(0, place()).findLastIndex(({flips}) => flips.length)));
root.querySelector('[data-do=on]').addEventListener('click', () => {
  const from = place();
  goTo(looks.findIndex(({flips}, index) => index > from && flips.length));
});
form.addEventListener('submit', (event) => {
  event.preventDefault();
  trigger('input', {action: 'pin', value: form.elements[0].value});
});
document.addEventListener('mtl-step', ({detail}) => {
  if (detail.by === element) return;
  peeked = detail.step;
  if (peeked === null && held !== null) tellCurves(held);  // who leaves the curves comes back to where the slider is held
  draw();
});
watch('value', draw);
mtl.live.listen((now) => {
  if (now.run !== shown.run) {
    if (held !== null) tellCurves(null);
    held = peeked = null;
    list.replaceChildren();
    rows.clear();
  }
  shown = now;
  looks = fold();
  draw();
});
