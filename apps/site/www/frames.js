// The demonstration: every frame of the last seconds as a dot, in motion.
'use strict';

const framesShown = 10e3;  // milliseconds
const dots = [];           // { time, began, done }, in microseconds but for time
const work = [];           // { time, us } done by all hogs
const never = 0xffffffff;  // of a frame that was left out
let period = 1;
let firstDue = Infinity;   // when frame 0 was due: the least delay with which one was told

function drawFrames() {
  const element = at('frames');
  if (!element.clientWidth) return;
  const { pen, width, height } = canvas(element);
  const ink = pen.fillStyle;
  const now = performance.now();
  const low = 1, high = 1e6;
  const y = (us) => height - 8 -
    Math.log10(Math.min(Math.max(us, low), high) / low) / Math.log10(high / low) * (height - 24);
  const x = (when) => width - (now - when) / framesShown * width;
  const lines = [[1, '1 µs'], [10, '10 µs'], [100, '100 µs'], [1e3, '1 ms'], [1e4, '10 ms'],
    [1e5, '100 ms'], [1e6, 'left out']];
  pen.lineWidth = 1;
  pen.globalAlpha = 0.12;
  for (const [us] of lines) pen.fillRect(0, y(us), width, 1);
  pen.globalAlpha = 1;
  pen.strokeStyle = '#c0504d';
  pen.setLineDash([6, 4]);
  pen.beginPath();
  pen.moveTo(0, y(period));
  pen.lineTo(width, y(period));
  pen.stroke();
  pen.setLineDash([]);
  for (const missed of [false, true]) {
    pen.fillStyle = missed ? '#c0392b' : '#6f9c3a';
    for (const dot of dots) {
      if ((dot.done > period) !== missed) continue;
      const size = missed ? 3 : 2;
      pen.fillRect(x(dot.time), y(dot.done === never ? high : dot.began) - size / 2, size, size);
    }
  }
  const margin = 62;
  pen.fillStyle = getComputedStyle(element).backgroundColor;
  pen.fillRect(0, 0, margin, height);
  pen.fillStyle = ink;
  for (const [us, label] of lines) pen.fillText(label, 8, Math.max(y(us) + 4, 12));
}

function moveFrames() {
  drawFrames();
  requestAnimationFrame(moveFrames);
}

function showFrames(state) {
  const demo = state.demo, now = performance.now();
  if (at('demo').hidden) {
    at('demo').hidden = false;
    requestAnimationFrame(moveFrames);
  }
  period = demo.period_us;
  at('preemption').textContent = state.preemption ? 'preemption is on' : 'preemption is off';
  at('preemption').className = state.preemption ? 'badge on' : 'badge off';
  let drawn = 0, missed = 0;
  const between = period / 1e3;
  for (const track of demo.tracks) firstDue = Math.min(firstDue, now - track.frames * between);
  for (const track of demo.tracks) {
    drawn += track.frames;
    missed += track.missed;
    const first = track.frames - track.samples.length;
    track.samples.forEach(([began, done], i) => {
      dots.push({ time: firstDue + (first + i) * between, began, done });
    });
  }
  while (dots.length && dots[0].time < now - framesShown - 1e3) dots.shift();
  at('drawn').textContent = count.format(drawn);
  at('missed').textContent = count.format(missed);
  at('missed').className = missed ? 'bad' : '';
  const late = dots.filter((dot) => dot.time > now - 5e3)
    .map((dot) => dot.done === never ? 1e6 : dot.began).sort((a, b) => a - b);
  const rank = (part) => time(1e3 * late[Math.min(late.length - 1, Math.floor(part * late.length))]);
  if (late.length) at('late').textContent = `${rank(0.5)} · ${rank(0.99)} · ${rank(1)}`;
  work.push({ time: state.uptime_ns / 1e3, us: demo.hogs_us.reduce((sum, us) => sum + us, 0) });
  while (work.length > 25) work.shift();
  const first = work[0], last = work[work.length - 1];
  if (last.time > first.time)
    at('hogged').textContent =
      percent((last.us - first.us) / (last.time - first.time) / state.cores.length);
}
