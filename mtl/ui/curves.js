// The charts of curves.html: lines, a legend that is a table, crosshair, zoom, export. Fed by live.js; draws only while it is seen.
mtl.curves = (() => {
  const KEPT = 'mtl-curves', DRAGGED = 6, AGAIN = 2000, IN_PERCENT = new Set(['scores', 'members']);
  const {draw, bounds, scales} = mtl.plot, {SERIES, DASHES, NONE, percent, number} = mtl.series;

  const save = (name, blob) => {
    const link = Object.assign(document.createElement('a'), {href: URL.createObjectURL(blob), download: name});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  const remembered = () => {
    try { return JSON.parse(localStorage.getItem(KEPT)) ?? {}; } catch { return {}; }
  };
  const write = (part, text) => { if (part.textContent !== text) part.textContent = text; };
  const make = (tag, properties = {}, ...children) => {
    const part = Object.assign(document.createElement(tag), properties);
    part.append(...children);
    return part;
  };

  return (element, watch, props) => {
    const root = element.querySelector('.mtl-curves'), inks = new Map();
    const kept = {smoothing: 0.6, log: false, hidden: [], zoom: null, ...remembered()};
    let shown = {run: '', state: null, data: null}, others = [], task = '', cross = null, drag = null;
    let isDue = false, isFollowing = false, isWanted = false, again = 0;
    const charts = [...root.querySelectorAll('[data-chart]')].map((panel) => ({
      panel, name: panel.dataset.chart, plot: panel.querySelector('.mtl-plot'), canvas: panel.querySelector('canvas'), series: [], lines: [],
      view: null, rows: panel.querySelector('tbody'), step: panel.querySelector('thead td'), marks: panel.querySelector('.mtl-marks'),
      empty: panel.querySelector('.mtl-hint')}));
    const isOfMembers = charts[0].name === 'members';
    const tools = root.querySelector('.mtl-tools'), table = root.querySelector('.mtl-looks');
    const ink = (token) => {
      if (!inks.has(token)) inks.set(token, getComputedStyle(root).getPropertyValue(token));
      return inks.get(token);
    };
    const keep = (changes) => {
      Object.assign(kept, changes);
      try { if (tools) localStorage.setItem(KEPT, JSON.stringify(kept)); } catch { /* a browser may forbid it to a page in a frame */ }
      invalidate();
    };

    // What is shown

    const ends = (data) => Object.values(data).map((piece) => piece.step?.at(-1) ?? 0);
    const span = ({data, state}) => Math.max(1, state && !state.over ? state.total : 0, ...(data ? ends(data) : []));
    const sources = () => {
      const tasks = (shown.data?.tasks ?? []).map(([name]) => name);
      const hues = (name, place) => (tasks.includes(name) ? tasks.indexOf(name) : place);
      const own = shown.data && !isOfMembers ? [{...shown, label: '', dash: []}] : [];
      const added = others.filter(({data}) => data).map((other, place) => ({
        ...other, label: `${other.state?.name ?? ''}: `, dash: DASHES[place % 3 + 1]}));
      return [...own, ...added].map((source, place) => ({...source, place, hues, span: span(source)}));
    };
    const whole = () => [0, Math.max(...[shown, ...others].map(span))];
    const range = () => (kept.zoom?.run === shown.run ? [kept.zoom.from, kept.zoom.to] : whole());
    const zoom = (from, to) => {
      const [least, most] = whole(), width = Math.min(most - least, Math.max(2, to - from)), start = Math.min(Math.max(least, from), most - width);
      keep({zoom: width < most - least ? {run: shown.run, from: start, to: start + width} : null});
    };
    const view = ({name, lines}) => {
      const [from, to] = range(), isZoomed = kept.zoom?.run === shown.run;
      const isPercent = IN_PERCENT.has(name), isLog = name === 'loss' && kept.log;
      const found = bounds(lines, from, to, isLog), [low, high] = found ?? [0, 1], pad = (high - low || Math.abs(high) || 1) * 0.06;
      const [bottom, top] = isLog ? [low === 0 ? 0.1 : low / 1.15, high * 1.15] : isPercent && !isZoomed ? [Math.min(0, low), 1]
        : isPercent ? [Math.max(Math.min(0, low), low - pad), Math.min(1, high + pad)] : isZoomed ? [low - pad, high + pad] : [Math.min(0, low), high + pad];
      return {from, to, low: bottom, high: top, isLog, isPercent, cross, drag, isKnown: isPercent || !!found,
              hasSteps: to > 1, best: shown.state?.best ?? null};
    };

    // Drawing

    const invalidate = () => {
      if (isDue) return;
      isDue = true;
      requestAnimationFrame(() => {
        isDue = false;
        if (root.offsetParent) paint();  // else the ResizeObserver calls when it is seen again
      });
    };
    const paint = () => {
      const from = sources();
      for (const chart of charts) {
        chart.series = from.flatMap((source) => SERIES[chart.name](source, {...kept, task}).map((series) => ({...series, source})));
        chart.lines = chart.series.filter(({name}) => !kept.hidden.includes(`${chart.name}/${name}`)).flatMap(
          ({name, lines, colour, dash, source}) => lines.map(
            (each) => ({...each, colour, dash, id: isOfMembers ? name : source.label + each.name})));
        chart.view = view(chart);
        draw(chart.canvas, chart.lines, chart.view, ink);
        chart.empty.hidden = chart.series.some(({lines}) => lines.some(({xs}) => xs.length));
        legend(chart);
        mark(chart);
        tell(chart);
      }
      if (tools) tools.querySelector('[data-do=whole]').disabled = kept.zoom?.run !== shown.run;
      if (table?.open) fill();
    };
    const legend = (chart) => {
      const {name, rows, series} = chart, key = JSON.stringify(series.map((each) => [each.name, each.colour, each.dash]));
      if (chart.key !== key) {
        chart.key = key;
        rows.replaceChildren(...series.map((each) => {
          const swatch = make('i'), text = make('bdi', {textContent: each.short});
          const button = make('button', {type: 'button', title: each.name}, swatch, text);
          swatch.style.setProperty('--c', `var(${each.colour})`);
          swatch.toggleAttribute('data-dashed', each.dash.length > 0);
          button.addEventListener('click', () => {
            const id = `${name}/${each.name}`;
            keep({hidden: kept.hidden.includes(id) ? kept.hidden.filter((other) => other !== id) : [...kept.hidden, id]});
          });
          return make('tr', {}, make('th', {scope: 'row'}, button), ...[...chart.panel.querySelectorAll('thead th')].map(() => make('td')));
        }));
      }
      write(chart.step, cross === null ? '' : `step ${cross.toLocaleString('en')}`);
      series.forEach((each, place) => {
        const [button, ...cells] = [rows.rows[place].querySelector('button'), ...rows.rows[place].querySelectorAll('td')];
        button.setAttribute('aria-pressed', String(!kept.hidden.includes(`${name}/${each.name}`)));
        each.tell(cross).forEach((text, column) => write(cells[column], text));
      });
    };
    const mark = (chart) => {
      const {from, to} = chart.view, {toX} = scales(chart.canvas.clientWidth, chart.canvas.clientHeight, chart.view);
      const best = shown.state?.best ? [[shown.state.best, 'best', 'The best checkpoint so far.']] : [];
      const found = [...shown.data?.marks ?? [], ...best].filter(([step]) => step >= from && step <= to);
      const key = JSON.stringify([found, chart.canvas.clientWidth, from, to]);
      if (chart.marked === key) return;
      chart.marked = key;
      chart.marks.replaceChildren(...found.map(([step, sort, text]) => {
        const tick = make('i', {title: `Step ${step.toLocaleString('en')}: ${text}`});
        tick.dataset.sort = sort;
        tick.style.left = `${toX(step)}px`;
        return tick;
      }));
    };
    const tell = ({plot, series, name}) => {
      if (cross === null && document.activeElement === plot) return;  // a screen reader would read out every update
      const values = series.filter((each) => !kept.hidden.includes(`${name}/${each.name}`)).map((each) => `${each.name} ${each.tell(cross)[0]}`);
      const [from, to] = range();
      for (const [part, value] of Object.entries({valuemin: Math.round(from), valuemax: Math.round(to), valuenow: cross ?? Math.round(to),
                                                  valuetext: `${cross === null ? 'last' : `step ${cross}`}: ${values.join(', ') || 'nothing yet'}`})) {
        if (plot.getAttribute(`aria-${part}`) !== String(value)) plot.setAttribute(`aria-${part}`, value);
      }
    };
    const fill = () => {
      const {tasks = [], full = NONE} = shown.data ?? {};
      const columns = [['step', full.step, String], ...tasks.flatMap(([name, score], place) => [
        [`${name} ${score}`, full.score?.[place] ?? [], percent], [`${name} loss`, full.loss?.[place] ?? [], number]]),
        ['everything right', full.right?.[0] ?? [], percent]];
      table.querySelector('table').replaceChildren(
        make('thead', {}, make('tr', {}, ...columns.map(([name]) => make('th', {scope: 'col', textContent: name})))),
        make('tbody', {}, ...full.step.map((_, place) => make('tr', {}, ...columns.map(([, values, say]) => make('td', {
          textContent: values[place] === null ? '' : say(values[place])}))))));
    };

    // What a person does

    const move = (step, by = root) => {  // the slider of pins.js and the other charts follow
      const [from, to] = range();
      cross = step === null ? null : Math.round(Math.min(to, Math.max(from, step)));
      invalidate();
      if (by === root && !isOfMembers) document.dispatchEvent(new CustomEvent('mtl-step', {detail: {step: cross, by}}));
    };
    for (const chart of charts) {
      const {plot} = chart;
      const at = (event) => scales(chart.canvas.clientWidth, chart.canvas.clientHeight, chart.view).toStep(
        event.clientX - chart.canvas.getBoundingClientRect().left);
      let start = null;
      plot.addEventListener('pointerdown', (event) => {
        if (event.button || !chart.view) return;
        start = event.clientX;
        drag = [at(event), at(event)];
        plot.setPointerCapture(event.pointerId);
      });
      plot.addEventListener('pointermove', (event) => {
        if (!chart.view) return;
        if (drag) drag[1] = at(event);
        move(at(event));
      });
      const end = (event) => {
        const dragged = drag;
        drag = null;
        if (dragged && event.type === 'pointerup' && Math.abs(event.clientX - start) > DRAGGED) zoom(...dragged.toSorted((one, other) => one - other));
        else invalidate();
      };
      plot.addEventListener('pointerup', end);
      plot.addEventListener('pointercancel', end);
      plot.addEventListener('pointerleave', ({pointerType}) => { if (pointerType === 'mouse') move(null); });
      plot.addEventListener('blur', () => move(null));
      plot.addEventListener('dblclick', () => keep({zoom: null}));
      plot.addEventListener('keydown', (event) => {
        const [from, to] = range(), here = cross ?? to, pace = Math.max(1, (to - from) / (event.shiftKey ? 10 : 100)), width = (to - from) / 4;
        const act = {ArrowLeft: () => move(cross === null ? to : cross - pace), ArrowRight: () => move(cross === null ? to : cross + pace),
                     Home: () => move(from), End: () => move(to), '+': () => zoom(here - width, here + width),
                     '-': () => zoom(here - 4 * width, here + 4 * width), 0: () => keep({zoom: null}), Escape: () => keep({zoom: null})}[event.key];
        if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        act();
      });
    }

    const picture = () => {
      const width = charts[0].canvas.width, dense = window.devicePixelRatio || 1, head = 24 * dense, foot = 22 * dense;
      const whole = make('canvas', {width, height: charts.reduce((sum, {canvas}) => sum + head + canvas.height + foot, 0)});
      const context = whole.getContext('2d');
      context.fillStyle = ink('--surface');
      context.fillRect(0, 0, whole.width, whole.height);
      let top = 0;
      for (const {panel, canvas, series} of charts) {
        context.font = `${13 * dense}px system-ui, sans-serif`;
        context.fillStyle = ink('--ink');
        context.fillText(panel.querySelector('h2').firstChild.textContent, 8 * dense, top + 17 * dense);
        context.drawImage(canvas, 0, top + head);
        context.font = `${11 * dense}px system-ui, sans-serif`;
        let left = 36 * dense;
        for (const {name, colour} of series) {
          context.fillStyle = ink(colour);
          context.fillText(name, left, top + head + canvas.height + 14 * dense);
          left += context.measureText(name).width + 16 * dense;
        }
        top += head + canvas.height + foot;
      }
      whole.toBlob((blob) => save('curves.png', blob));
    };
    const numbers = () => {
      const quote = (text) => `"${text.replaceAll('"', '""')}"`;
      const rows = charts.flatMap(({name, series}) => series.flatMap(({lines, source}) => lines.flatMap(({name: of, xs, ys, raw = ys}) => xs.map(
        (step, place) => (raw[place] === null ? null : [quote(source.state?.name ?? source.run), name, quote(of), step, raw[place]].join(','))))));
      save('curves.csv', new Blob([['run,chart,series,step,value', ...rows.filter(Boolean), ''].join('\n')], {type: 'text/csv'}));
    };
    if (tools) {
      const [smoothing, log] = [tools.querySelector('[name=smoothing]'), tools.querySelector('[name=log]')];
      [smoothing.value, log.checked] = [kept.smoothing, kept.log];
      smoothing.addEventListener('input', () => keep({smoothing: Number(smoothing.value)}));
      log.addEventListener('change', () => keep({log: log.checked}));
      const acts = {whole: () => keep({zoom: null}), png: picture, csv: numbers};
      tools.addEventListener('click', ({target}) => acts[target.dataset.do]?.());
      table.addEventListener('toggle', invalidate);
    }

    // Where it comes from

    // Asks for what is new of the other runs, until they are over
    const follow = async () => {
      clearTimeout(again);
      isWanted = isFollowing;  // who asks meanwhile is answered by another round: it may be the last one that asks
      if (isFollowing) return;
      isFollowing = true;
      await Promise.all(others.filter(({isOver}) => !isOver).map(async (other) => {
        try {
          const {error, cursor, state, curves} = await mtl.live.ask(other.run, other.cursor);
          if (error) others = others.filter((each) => each !== other);
          if (cursor) Object.assign(other, {cursor}, state && {state, isOver: state.over}, curves && {data: mtl.live.add(other.data, curves)});
        } catch { /* with the next answer for the run that is shown it is tried again */ }
      }));
      isFollowing = false;
      invalidate();
      if (isWanted) await follow();
      else if (isOfMembers && root.isConnected && others.some(({isOver}) => !isOver)) again = setTimeout(follow, AGAIN);
    };
    const overlay = (runs) => {
      // those that are kept stay the same objects, as an answer for them may be on its way; one that was over may go on
      others = runs.map(([run, name]) => Object.assign(others.find((other) => other.run === run) ?? {cursor: '', data: null, state: null},
        {run, name, isOver: false}));
      invalidate();
      return follow();
    };
    if (isOfMembers) {
      watch('value', () => {
        const value = JSON.parse(props.value || '{}');
        task = value.task ?? '';
        overlay(value.runs ?? []);
      });
    } else {
      mtl.live.listen((now) => {
        if (now.run !== shown.run) others = [];
        shown = now;
        invalidate();
        if (others.length) follow();
      });
      if (tools) document.addEventListener('mtl-overlay', ({detail}) => overlay(detail.filter((run) => run !== shown.run).map((run) => [run, ''])));
    }
    if (!isOfMembers) document.addEventListener('mtl-step', ({detail}) => { if (detail.by !== root) move(detail.step, detail.by); });
    new ResizeObserver(invalidate).observe(root);
    const recolour = new MutationObserver(() => { inks.clear(); invalidate(); });
    for (const part of [document.body, document.documentElement]) recolour.observe(part, {attributeFilter: ['class']});

    const api = {
      overlay: (runs) => overlay(runs.map((run) => [run, ''])),
      series: () => Object.fromEntries(charts.flatMap(({lines}) => lines.map(({id, xs, ys}) => [id, xs.map((x, place) => [x, ys[place]]).filter(
        ([, y]) => y !== null)])).filter(([, points]) => points.length)),
      hidden: () => [...kept.hidden],
      zoom: () => (kept.zoom?.run === shown.run ? [kept.zoom.from, kept.zoom.to] : null),
    };
    root.mtlCurves = api;
    return api;
  };
})();
