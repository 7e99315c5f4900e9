// Draws lines on a canvas. Knows no runs and no page: a line is {xs, ys, colour, width, alpha, dash, dots}; the view says from where to where.
mtl.plot = (() => {
  const LEFT = 36, RIGHT = 10, TOP = 10, BOTTOM = 20, FONT = '11px system-ui, sans-serif', DOT = 3;

  // Round numbers from `low` to `high`, about `count` of them
  const ticks = (low, high, count) => {
    const unit = 10 ** Math.floor(Math.log10((high - low) / count));
    const step = [1, 2, 2.5, 5, 10].map((factor) => factor * unit).find((size) => size >= (high - low) / count * 0.999);
    const found = [];
    for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place++) found.push(place * step || 0);
    return found;
  };

  // Powers of ten from `low` to `high`, and what lies between them if there are few
  const powers = (low, high) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++)
      for (const factor of high / low > 50 ? [1] : [1, 2, 5]) found.push(factor * 10 ** power);
    return found.filter((value) => value >= low && value <= high);
  };

  // A mean of the points before each one, which weigh less the further away they are: exponentially, and without a start near 0. `factor`
  // is what is left of a weight after a 300th of `span`, so that the curve is as smooth however many points were logged.
  const smooth = (xs, ys, factor, span) => {
    if (!factor) return ys;
    let sum = 0, weight = 0, before = null;
    return ys.map((y, place) => {
      if (y === null) return null;
      const keep = before === null ? 0 : factor ** Math.max((xs[place] - before) * 300 / span, 0.01);
      before = xs[place];
      sum = keep * sum + (1 - keep) * y;
      weight = keep * weight + 1 - keep;
      return sum / weight;
    });
  };

  // The place of the last of `xs`, which ascend, that is not above `x`; -1 if there is none
  const upTo = (xs, x) => {
    let low = 0, high = xs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (xs[middle] <= x) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };

  // The places of a line between which everything from `from` to `to` lies, and one more on each side
  const within = ({xs}, from, to) => [Math.max(0, upTo(xs, from)), Math.min(xs.length - 1, upTo(xs, to) + 1)];

  // The lowest and the highest value of the lines between `from` and `to`; null if there is none
  const bounds = (lines, from, to, isLog) => {
    let low = Infinity, high = -Infinity;
    for (const line of lines) {
      const [first, last] = within(line, from, to);
      for (let place = first; place <= last; place++) {
        const y = line.ys[place];
        if (y === null || (isLog && y <= 0)) continue;
        if (y < low) low = y;
        if (y > high) high = y;
      }
    }
    return low <= high ? [low, high] : null;
  };

  const short = (value) => (value === 0 ? '0' : Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3 ? value.toExponential(0)
    : String(Number(value.toPrecision(3))));

  // The line through the points, of which all that fall on one column of pixels become one stroke from the lowest to the highest
  const trace = (context, line, [first, last], toX, toY) => {
    let column = null, low = 0, high = 0, y = 0;
    const finish = () => {
      if (column === null || low === high) return;
      context.lineTo(column, low);
      context.lineTo(column, high);
      context.lineTo(column, y);
    };
    context.beginPath();
    for (let place = first; place <= last; place++) {
      if (line.ys[place] === null) continue;
      const x = toX(line.xs[place]), at = Math.round(x * 2) / 2;
      y = toY(line.ys[place]);
      if (at === column) {
        low = Math.min(low, y);
        high = Math.max(high, y);
        continue;
      }
      finish();
      context.lineTo(at, y);
      [column, low, high] = [at, y, y];
    }
    finish();
    context.stroke();
  };

  const scales = (width, height, {from, to, low, high, isLog}) => {
    const [bottom, top] = isLog ? [Math.log(low), Math.log(high)] : [low, high];
    return {
      toX: (x) => LEFT + (x - from) / (to - from) * (width - LEFT - RIGHT),
      toY: (y) => TOP + (top - (isLog ? Math.log(Math.max(y, low)) : y)) / (top - bottom) * (height - TOP - BOTTOM),
      toStep: (x) => from + Math.min(1, Math.max(0, (x - LEFT) / (width - LEFT - RIGHT))) * (to - from),
    };
  };

  const axes = (context, width, height, view, {toX, toY}, ink) => {
    context.font = FONT;
    context.fillStyle = ink('--soft');
    context.strokeStyle = ink('--line');
    context.lineWidth = 1;
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    for (const y of view.isLog ? powers(view.low, view.high) : ticks(view.low, view.high, 4)) {
      const at = Math.round(toY(y)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, at);
      context.lineTo(width - RIGHT, at);
      context.stroke();
      if (view.isKnown) context.fillText(view.isPercent ? short(100 * y) : short(y), LEFT - 6, at);
    }
    if (!view.hasSteps) return;
    context.textBaseline = 'alphabetic';
    context.textAlign = 'center';
    for (const x of ticks(view.from, view.to, Math.max(2, Math.floor(width / 110)))) {
      if (Number.isInteger(x)) context.fillText(x.toLocaleString('en'), Math.min(toX(x), width - RIGHT - 8), height - 4);
    }
  };

  // Draws everything; `ink` gives the colour of a token
  const draw = (canvas, lines, view, ink) => {
    const {clientWidth: width, clientHeight: height} = canvas, dense = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
      canvas.width = Math.round(width * dense);
      canvas.height = Math.round(height * dense);
    }
    const context = canvas.getContext('2d'), {toX, toY} = scales(width, height, view);
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, width, height);
    axes(context, width, height, view, {toX, toY}, ink);
    context.save();
    context.beginPath();
    context.rect(LEFT - DOT - 1, 0, width - LEFT - RIGHT + 2 * DOT + 2, height - BOTTOM + DOT + 1);
    context.clip();
    context.lineJoin = 'round';
    const upright = (step, token, dash) => {
      if (step === null) return;
      const at = Math.round(toX(step)) + 0.5;
      context.strokeStyle = ink(token);
      context.lineWidth = 1;
      context.setLineDash(dash);
      context.beginPath();
      context.moveTo(at, TOP);
      context.lineTo(at, height - BOTTOM);
      context.stroke();
    };
    upright(view.best, '--line', []);
    for (const line of lines) {
      const range = within(line, view.from, view.to);
      context.strokeStyle = ink(line.colour);
      context.lineWidth = line.width;
      context.globalAlpha = line.alpha;
      context.setLineDash(line.dash);
      trace(context, line, range, toX, toY);
      context.setLineDash([]);
      context.fillStyle = ink('--surface');
      for (let place = range[0]; line.dots && place <= range[1]; place++) {
        if (line.ys[place] === null) continue;
        context.beginPath();
        context.arc(toX(line.xs[place]), toY(line.ys[place]), DOT, 0, 7);
        context.fill();
        context.stroke();
      }
    }
    context.globalAlpha = 1;
    if (view.drag) {
      context.globalAlpha = 0.15;
      context.fillStyle = ink('--accent');
      const [one, other] = view.drag.map(toX);
      context.fillRect(one, TOP, other - one, height - TOP - BOTTOM);
      context.globalAlpha = 1;
    }
    upright(view.cross, '--accent', [3, 3]);
    context.restore();
  };

  return {draw, bounds, smooth, upTo, scales};
})();
