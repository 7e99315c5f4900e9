// Why?: the words that count for an answer, in its panel. They stay there while the same text is answered anew, and never stand beside another
// text. `mtl-redraw` comes from predict.js, just before it draws an answer.
(() => {
  const PATIENCE = 60000;  // milliseconds
  const LOST = '<p class="mtl-hint">There was no answer. Press Why? twice to ask again.</p>';
  const parts = new Map();  // what is explained, as text -> the part of the page that explains it
  let focus = null;

  // What a panel answers; of two models beside each other, the panels stand in turn
  const asked = (panel) => {
    const answers = panel.closest('[data-text]'), models = JSON.parse(answers.dataset.models);
    const place = [...answers.querySelectorAll(':scope > .mtl-panel')].indexOf(panel);
    return JSON.stringify({text: answers.dataset.text, task: panel.dataset.task, model: models[Math.max(place, 0) % models.length]});
  };
  const put = (panel, part) => {
    panel.append(part);
    panel.querySelector('[data-why]')?.setAttribute('aria-expanded', 'true');
  };
  const ask = async (part, question, target) => {
    const number = part.number = (part.number ?? 0) + 1, said = part.querySelector('[role=status]');
    part.setAttribute('aria-busy', 'true');
    let answer = {said: '', html: LOST};
    try {
      const sent = await fetch(new URL('mtl/why', window.location.origin + window.location.pathname), {
        method: 'POST', body: JSON.stringify({...JSON.parse(question), target}), signal: AbortSignal.timeout(PATIENCE)});
      if (sent.ok) answer = await sent.json();
    } catch { /* the connection is lost: said in its place */ }
    if (number !== part.number) return;  // something else was asked meanwhile
    const body = part.lastElementChild, had = body.contains(document.activeElement), isOpen = body.querySelector('details')?.open;
    body.innerHTML = answer.html;
    said.textContent = answer.said;
    part.setAttribute('aria-busy', 'false');
    if (isOpen && body.querySelector('details')) body.querySelector('details').open = true;
    if (had) body.querySelector('select, summary')?.focus();
  };

  document.addEventListener('click', ({target}) => {
    const button = target.closest?.('[data-why]'), again = target.closest?.('[data-again]');
    const panel = (button ?? again)?.closest('.mtl-panel');
    if (!panel) return;
    const question = asked(panel);
    let part = parts.get(question);
    if (again) return void ask(part, question, chosen(part));
    if (part) {
      part.remove();
      parts.delete(question);
      return button.setAttribute('aria-expanded', 'false');
    }
    part = Object.assign(document.createElement('div'), {className: 'mtl-explained', innerHTML: '<p role="status"></p><div></div>'});
    parts.set(question, part);
    put(panel, part);
    part.firstElementChild.textContent = 'Weighing each word\u2026';
    ask(part, question);
  });
  const chosen = (part) => {
    const select = part.querySelector('select');
    return select ? JSON.parse(select.value) : undefined;
  };
  document.addEventListener('change', ({target}) => {
    const part = target.closest?.('.mtl-explained');
    if (part && target.matches('select')) ask(part, asked(part.closest('.mtl-panel')), chosen(part));
  });

  document.addEventListener('mtl-redraw', () => {
    for (const part of parts.values()) {
      if (part.contains(document.activeElement)) focus = document.activeElement;
      part.remove();
    }
    queueMicrotask(() => {  // when it is drawn
      const panels = [...document.querySelectorAll('#answer [data-text] .mtl-panel[data-task]')];
      for (const [question, part] of parts) {
        const panel = panels.find((one) => asked(one) === question);
        if (!panel) { parts.delete(question); continue; }
        put(panel, part);
        const since = part.querySelector('.mtl-since');
        if (since) since.hidden = !JSON.parse(question).model.endsWith('/live');
        if (part.contains(focus)) focus.focus({preventScroll: true});
      }
      focus = null;
    });
  });
})();
