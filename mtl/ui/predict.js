// Asks as one types: one question is on its way at a time, the next one is the newest. Every question has a number; an answer to an older one
// is dimmed, and never shown in place of a newer one's. Follows live weights by itself while somebody can see it.
const FOLLOW = 2000, PATIENCE = 60000;  // milliseconds
const box = element.querySelector('.mtl-answer'), said = element.querySelector('[role=status]'), place = element.closest('#answer');
const [sentences, differing, follow] = ['sentences', 'differing', 'live'].map((name) => element.querySelector(`[data-for=${name}]`));
const about = () => document.querySelector('#about span'), typed = () => document.querySelector('#text textarea');
const isOn = (label) => label.querySelector('input').checked;
let question = null, number = 0, first = 0, answeredAt = 0, isAnswered = false, isEarly = false, isAsking = false, isDue = false, took = 0;
let pressed, wait, say;

const dim = (isOld) => {
  box.setAttribute('aria-busy', isOld);
  about()?.classList.toggle('mtl-old', isOld);
};
const speak = (text) => {
  clearTimeout(say);
  say = setTimeout(() => { if (said.textContent !== text) said.textContent = text; }, 1000);
};

const show = (news) => {
  if (news.number < first) return;
  document.dispatchEvent(new Event('mtl-redraw'));  // to why.js
  const open = [...box.querySelectorAll('details[open]')].map((part) => part.dataset.key), parts = 'button, summary, mark, pre';
  const focus = box.contains(document.activeElement) && [...box.querySelectorAll(parts)].indexOf(document.activeElement);
  box.innerHTML = news.html;
  for (const part of box.querySelectorAll('details')) part.open = open.includes(part.dataset.key);
  if (focus !== false) box.querySelectorAll(parts)[focus]?.focus();
  if (about()) about().textContent = news.about;
  isAnswered = news.about !== '';
  sentences.hidden = news.sentences < 2;
  differing.hidden = !box.querySelector('.mtl-many .mtl-differs');
  dim(isDue);
  if (news.number) speak(news.said);
};

const due = (how) => ({...question, text: question.text.toWellFormed?.() ?? question.text, number: ++number, how,
  whole: !isOn(sentences) || typed().dataset.row === question.text, open: Number(box.querySelector('[data-at][open]')?.dataset.at ?? -1)});
const press = () => {  // by an event of Gradio, which shows an error as a message, and knows whose quota of a GPU it takes
  place.dataset.asked = JSON.stringify(due('pressed'));
  trigger('select');
};
const ask = async () => {
  isDue = true;
  if (isAsking) return;
  isAsking = true;
  while (isDue) {
    isDue = false;
    const asked = due(''), start = Date.now();
    try {
      const answer = await fetch(new URL('mtl/answer', window.location.origin + window.location.pathname),
        {method: 'POST', body: JSON.stringify(asked), signal: AbortSignal.timeout(PATIENCE)});
      if (!answer.ok) throw new Error(answer.status);
      show(await answer.json());
    } catch {
      await new Promise((done) => setTimeout(done, FOLLOW));
      isDue = true;
    }
    [answeredAt, took] = [Date.now(), Date.now() - start];
  }
  isAsking = false;
};
const askNow = () => {
  first = number + 1;
  dim(true);
  ask();
};

place.addEventListener('ask', ({detail}) => {
  const how = detail.how === 'chosen' && isEarly ? 'pressed' : detail.how, {model} = detail.question;
  const text = how === 'pressed' ? typed().value : detail.question.text;  // a press may be faster than the news of its text
  if (how === 'typed' && text === pressed) return;  // a press was faster than the news that its text was typed
  pressed = how === 'pressed' ? text : undefined;
  isEarly = how === 'pressed' && !model;  // a press was faster than the list of models: it waits for that a little
  question = {...detail.question, text};
  follow.hidden = !model?.endsWith('/live');
  clearTimeout(wait);
  first = number + 1;
  dim(true);
  if (isEarly) wait = setTimeout(() => { isEarly = false; press(); }, 3000);
  else if (how === 'pressed') press();
  else ask();
});
watch('value', () => show(JSON.parse(props.value)));
show(JSON.parse(props.value));

const timer = setInterval(() => {
  if (!element.isConnected) clearInterval(timer);
  else if (!follow.hidden && isOn(follow) && isAnswered && !isAsking && Date.now() - answeredAt > Math.max(FOLLOW - 200, 4 * took)
    && box.getAttribute('aria-busy') === 'false' && !document.hidden && element.offsetParent) ask();
}, FOLLOW);

const remember = (act) => { try { return act(); } catch { return null; } };  // a browser may forbid it to a page in a frame
sentences.querySelector('input').checked = remember(() => localStorage.getItem('mtl-whole')) === null;
sentences.addEventListener('change', () => {
  delete typed().dataset.row;
  remember(() => (isOn(sentences) ? localStorage.removeItem('mtl-whole') : localStorage.setItem('mtl-whole', '1')));
  askNow();
});
differing.addEventListener('change', () => box.classList.toggle('mtl-only-differing', isOn(differing)));
box.addEventListener('toggle', ({target}) => {  // its answer in full comes with the next answer
  if (!target.open || !target.dataset.at) return;
  // an older browser leaves several open, of which only one can be answered: it would ask without end
  for (const other of box.querySelectorAll('[data-at][open]')) if (other !== target) other.open = false;
  if (!target.querySelector('.mtl-answers')) ask();
}, true);

element.addEventListener('click', async ({target}) => {
  const {json} = target.dataset, line = target.closest('.mtl-many > li > p');
  if (line && window.getSelection().isCollapsed) line.parentElement.querySelector('[data-at]').open ^= true;
  if (!json) return;
  try {
    await navigator.clipboard.writeText(json);
    speak(target.textContent = 'Copied');
  } catch {  // not over https: then the browser gives no clipboard
    if (target.nextSibling.tagName !== 'TEXTAREA')
      target.insertAdjacentHTML('afterend', '<textarea readonly aria-label="The answer as JSON"></textarea>');
    target.nextSibling.value = json;
    target.nextSibling.select();
  }
});
