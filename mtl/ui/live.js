// The page's one loop: asks the live feed (live.py) how the run that is shown is doing, keeps its curves, and tells the parts of the page
// with the event `mtl-live`: {run, state, data, error}. `mtl-news` follows only if something happened that Gradio has to show.
window.mtl = (() => {
  const LONGEST = 12000, PATIENCE = 15000, SETTLED = 1500;  // milliseconds
  const LOST = 'The connection is lost. Training goes on without this page; trying again\u2026';
  const now = {run: '', state: null, data: null, error: ''};
  let cursor = '', news = '', boot = '', pause = 1000, failures = 0, timer = 0, isAsking = false, isWanted = false, isSettled = false;

  const ask = async (run, cursor) => {
    const address = new URL('mtl/live', window.location.origin + window.location.pathname);
    address.search = new URLSearchParams({run, cursor});
    const answer = await fetch(address, {cache: 'no-store', signal: AbortSignal.timeout(PATIENCE)});
    if (answer.status === 204) return {};  // nothing is new
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  };

  // `data` with the columns of an answer added at their ends
  const add = (data, curves) => {
    const {reset, tasks, marks = [], pins, ...pieces} = curves;
    if (!data || reset) data = {tasks, marks: []};
    data.marks.push(...marks);
    if (pins) data.pins = {...data.pins, ...pins, looks: [...data.pins?.looks ?? [], ...pins.looks ?? []]};
    for (const [name, piece] of Object.entries(pieces)) {
      const kept = data[name];
      if (!kept) { data[name] = piece; continue; }
      for (const [field, columns] of Object.entries(piece)) {
        if (field === 'step') kept.step.push(...columns);
        else columns.forEach((column, place) => kept[field][place].push(...column));
      }
    }
    return data;
  };

  const tell = () => {
    isSettled = true;
    document.dispatchEvent(new CustomEvent('mtl-live', {detail: {...now}}));
  };
  const tellGradio = (text) => {
    if (news !== text) document.dispatchEvent(new CustomEvent('mtl-news', {detail: news = text}));
  };
  const say = (text) => {
    let line = document.getElementById('connection');
    if (!line) {
      line = Object.assign(document.createElement('div'), {id: 'connection', role: 'status'});
      document.body.append(line);
    }
    if (line.textContent !== text) line.textContent = text;
  };

  const take = (answer) => {
    if (boot && answer.boot && answer.boot !== boot) { window.location.reload(); return; }  // the events of the old process are gone
    boot = answer.boot ?? boot;
    if (answer.error) {
      Object.assign(now, {state: null, data: null, error: answer.error});
      [cursor, pause] = ['', LONGEST];
      tellGradio(`${now.run}/gone`);
    } else if (answer.cursor) {
      if (answer.state) now.state = answer.state;
      if (answer.curves) now.data = add(now.data, answer.curves);
      now.error = '';
      [cursor, pause] = [answer.cursor, answer.again];
      tellGradio(answer.news);
    } else return;
    tell();
  };

  // `isPressed`: after a button, whether the page is in sight or not
  const poll = async (isPressed = false) => {
    clearTimeout(timer);
    isWanted = isAsking;
    if (!now.run || isAsking || document.hidden && isPressed !== true) return;
    const {run} = now;
    isAsking = true;
    try {
      const answer = await ask(run, cursor);
      if (failures) say('');
      failures = 0;
      if (run === now.run) take(answer);
    } catch {
      if (++failures > 1) say(LOST);
    }
    isAsking = false;
    if (isWanted) poll();
    else timer = setTimeout(poll, Math.min(LONGEST, pause * 2 ** failures));
  };

  const show = (run) => {
    if (run === now.run) return;
    Object.assign(now, {run, state: null, data: null, error: ''});
    cursor = '';
    if (!run) tellGradio('');
    tell();
    poll();
  };

  document.addEventListener('mtl-run', (event) => show(event.detail));
  document.addEventListener('visibilitychange', poll);
  window.addEventListener('online', poll);
  setTimeout(() => { if (!isSettled) tell(); }, SETTLED);  // by now a page that had a run would show it

  // Calls `listener` with each answer, and at once with the last one
  const listen = (listener) => {
    document.addEventListener('mtl-live', (event) => listener(event.detail));
    if (isSettled) listener({...now});
  };
  const write = (part, text) => { if (part.textContent !== text) part.textContent = text; };

  // Copies a link and says so on the button for a moment; shows it where a browser gives no clipboard: no permission, or no https
  const copy = async (button, link, what) => {
    const said = button.textContent;
    try {
      await navigator.clipboard.writeText(link);
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = said; }, 2000);
    } catch {
      window.prompt(what, link);
    }
  };

  return {
    live: {ask, add, poll, listen},
    copy,
    // The state, the facts and the message of the run, in status.html
    status: (element) => listen(({run, state, error}) => {
      const [badge, message, facts] = ['.mtl-badge', '.mtl-said', '.mtl-facts'].map((part) => element.querySelector(part));
      badge.className = `mtl-badge mtl-${state?.state}`;
      write(badge, state?.state ?? '');
      write(facts, state?.facts.join(' \u00b7 ') ?? '');
      write(message, run ? state?.message || error : 'No run yet. Choose the data, then press Start training.');
    }),
    // What happens in the run, in a sentence or more
    story: (element) => listen(({state}) => write(element.querySelector('[role=status]'), state?.story ?? '')),
  };
})();
