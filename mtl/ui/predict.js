// Every question has a number. An answer to an older one is dimmed at once, and never shown in place of a newer one's. Asks as one types, and
// follows live weights by itself while somebody can see it.
const box = element.querySelector('.mtl-answer'), told = element.querySelector('[role=status]');
const follow = element.querySelector('.mtl-follow'), place = element.closest('#answer');
const about = () => document.querySelector('#about span');
let sent = 0, first = 0, received = 0, isLive = false, isAnswered = false, isEarly = false, pressed, wait, say;

const send = (how = '') => {
  place.dataset.asked = `${++sent} ${how}`;  // goes with the question: see predict_tab.py
  trigger('select');
};
const dim = (isOld) => {
  box.setAttribute('aria-busy', isOld);
  about()?.classList.toggle('mtl-old', isOld);
};
const speak = (text) => {
  clearTimeout(say);
  say = setTimeout(() => { if (told.textContent !== text) told.textContent = text; }, 1000);
};
place.addEventListener('ask', ({detail}) => {
  const how = detail.how === 'chosen' && isEarly ? 'pressed' : detail.how;
  if (how === 'typed' && detail.text === pressed) return;  // a press was faster than the news that its text was typed
  pressed = how === 'pressed' ? detail.text : undefined;
  isEarly = how === 'pressed' && !detail.model;  // a press was faster than the list of models: it waits for that a little
  first = sent + 1;
  isLive = Boolean(detail.model?.endsWith('/live'));
  follow.hidden = !isLive;
  dim(true);
  clearTimeout(wait);
  if (how === 'pressed' && !isEarly) send('pressed');
  else wait = setTimeout(() => {
    send(isEarly ? 'pressed' : '');
    isEarly = false;
  }, isEarly ? 3000 : how === 'typed' ? 300 : 0);
});

const show = () => {
  const news = JSON.parse(props.value);
  received = news.number;
  if (received < first) return;
  document.dispatchEvent(new Event('mtl-redraw'));  // to why.js
  const open = [...box.querySelectorAll('details[open]')].map((part) => part.dataset.key), focus = box.contains(document.activeElement) &&
    [...box.querySelectorAll('button, summary')].indexOf(document.activeElement);
  box.innerHTML = news.html;
  for (const part of box.querySelectorAll('details')) part.open = open.includes(part.dataset.key);
  if (focus !== false) box.querySelectorAll('button, summary')[focus]?.focus();
  if (about()) about().textContent = news.about;
  isAnswered = news.about !== '';
  dim(false);
  if (received) speak(news.said);
};
watch('value', show);
show();

const timer = setInterval(() => {
  if (!element.isConnected) clearInterval(timer);
  else if (isLive && isAnswered && follow.querySelector('input').checked && received === sent && sent >= first && !document.hidden
    && element.offsetParent) send();
}, 2000);

element.addEventListener('click', async ({target}) => {
  const {json} = target.dataset;
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
