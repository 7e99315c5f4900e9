// The series of each chart: the rows of its legend, each with its lines and with what the columns of the legend say of a step (null: the
// last one). A source is a run: its `data` (live.js), the `label` before the names of its series, the `dash` of its lines, its `place` among
// the runs, `hues` to give a task the colour that it has elsewhere, and the `span` of its steps.
mtl.series = (() => {
  const HUES = 8, DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3]], NONE = {step: []};
  const STRONG = {width: 2.2, alpha: 1, dots: true}, MIDDLE = {width: 1.6, alpha: 1}, THIN = {width: 1.3, alpha: 0.5};
  const FAINT = {width: 1.2, alpha: 0.45};
  const {smooth, upTo} = mtl.plot;

  const hue = (place) => `--task-${place % HUES + 1}`;
  const percent = (value) => (value === undefined ? '' : (100 * value).toFixed(1));
  const number = (value) => (value === undefined ? '' : value === 0 || value >= 0.001 ? value.toFixed(value >= 100 ? 0 : value >= 1 ? 2 : 3)
    : value.toExponential(0));
  const line = (name, piece, column, style) => ({name, xs: piece?.step ?? [], ys: column ?? [], ...style});
  // The last point of a line up to `step` (null: of all), as [step, value]
  const last = ({xs, ys}, step) => {
    let place = step === null ? xs.length - 1 : upTo(xs, step);
    while (place >= 0 && ys[place] === null) place--;
    return [xs[place], ys[place]];
  };
  // Of the quick and the full looks, the later value
  const latest = (lines, step) => lines.map((one) => last(one, step)).sort(([one = -1], [other = -1]) => one - other).pop()[1];
  // The highest value of the full looks, or of the quick ones if there is no other
  const best = (lines) => lines.map(({ys}) => ys.filter((y) => y !== null)).filter((ys) => ys.length).pop()
    ?.reduce((one, other) => Math.max(one, other));

  // The name in the legend: the run after the task, as there is little room
  const short = ({label}, name) => name.replace(/ accuracy$/, '') + label.replace(/^(.*): $/, ' \u00b7 $1');
  const scores = (source, name, column, colour, dash) => {
    const {full = NONE, sampled = NONE} = source.data;
    const lines = [line(`${name}, sampled`, sampled, column(sampled), THIN), line(name, full, column(full), STRONG)];
    return {name: source.label + name, short: short(source, name), colour, dash, lines,
            tell: (step) => [percent(latest(lines, step)), percent(best(lines))]};
  };
  const ofTasks = (source, make) => source.data.tasks.map(
    ([task, score], place) => make(task, place, hue(source.hues(task, place)), score));
  const plain = (source, piece, field) => ofTasks(source, (task, place, colour) => {
    const lines = [line(`${task} ${field}`, source.data[piece], source.data[piece]?.[field][place], MIDDLE)];
    return {name: source.label + task, short: short(source, task), colour, dash: source.dash, lines,
            tell: (step) => [number(last(lines[0], step)[1])]};
  });
  const SERIES = {
    scores: (source) => [
      ...ofTasks(source, (task, place, colour, score) => scores(
        source, `${task} ${score}`, (piece) => piece.score?.[place], colour, source.dash)),
      ...source.data.tasks.slice(0, 1).map(() => scores(
        source, 'everything right', (piece) => piece.right?.[0], '--all', source.dash.length ? source.dash : [5, 4])),
    ],
    loss: (source, {smoothing}) => ofTasks(source, (task, place, colour) => {
      const {train = NONE, full = NONE} = source.data, raw = train.loss?.[place] ?? [];
      const lines = [{...line(`${task} train`, train, smooth(train.step, raw, smoothing, source.span), FAINT), raw},
                     line(`${task} validation`, full, full.loss?.[place], STRONG)];
      return {name: source.label + task, short: short(source, task), colour, dash: source.dash, lines,
              tell: (step) => lines.map((each) => number(last(each, step)[1]))};
    }),
    norms: (source) => plain(source, 'gradient', 'norm'),
    weights: (source) => plain(source, 'train', 'weight'),
    members: (source, {task}) => ofTasks(source, (name, place, colour, score) => name === task && {
      ...scores(source, `${name} ${score}`, (piece) => piece.score?.[place], hue(source.place),
                DASHES[Math.floor(source.place / HUES) % DASHES.length]),
      name: source.name, short: source.name,
    }).filter(Boolean),
  };

  return {SERIES, DASHES, NONE, percent, number};
})();
