/* The chart of a round of tasks: one lane per unit and port, and the bytes held on chip, on one axis of time. */
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("timeline").textContent);
  const canvas = document.getElementById("chart");
  const tip = document.getElementById("tip");
  const pen = canvas.getContext("2d");
  const AXIS = 20, FRAMES = 20, LANE = 24, GAP = 6, MEMORY = 96, SHORTEST = 16;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const view = { from: 0, to: data.cycles };
  let width = 0, left = 0, pointer = null, drag = null;

  const number = (value) => value.toLocaleString("en");
  const top = (lane) => AXIS + FRAMES + lane * (LANE + GAP);
  const memoryTop = top(data.lanes.length) + 8;
  const height = memoryTop + MEMORY + 4;
  const x = (cycle) => left + ((cycle - view.from) / (view.to - view.from)) * (width - left);
  const cycleAt = (place) => view.from + ((place - left) / (width - left)) * (view.to - view.from);

  function duration(cycles) {
    if (!cycles) return "0";
    const us = cycles / data.mhz;
    const [value, unit] = us >= 1e6 ? [us / 1e6, "s"] : us >= 1000 ? [us / 1000, "ms"] : us >= 1 ? [us, "µs"] : [us * 1000, "ns"];
    return `${Number(value.toPrecision(4))} ${unit}`;
  }

  function bytes(size) {
    return size >= 1e6 ? `${(size / 1e6).toFixed(2)} MB` : size >= 1e3 ? `${(size / 1e3).toFixed(1)} kB` : `${size} B`;
  }

  function look(from, to) {
    const span = Math.min(data.cycles, Math.max(Math.min(SHORTEST, data.cycles), to - from));
    view.from = Math.max(0, Math.min(from, data.cycles - span));
    view.to = view.from + span;
    draw();
  }

  function zoom(factor, place) {
    const middle = cycleAt(place ?? (left + width) / 2);
    look(middle - (middle - view.from) * factor, middle + (view.to - middle) * factor);
  }

  const pan = (share) => look(view.from + share * (view.to - view.from), view.to + share * (view.to - view.from));

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function drawAxis(ink, line) {
    const rough = ((view.to - view.from) / data.mhz) * 120 / (width - left);
    const ten = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * ten).find((each) => each >= rough) * data.mhz;
    pen.textAlign = "center";
    for (let cycle = Math.ceil(view.from / step) * step; cycle <= view.to; cycle += step) {
      pen.fillStyle = line;
      pen.fillRect(x(cycle), AXIS, 1, height - AXIS);
      pen.fillStyle = ink;
      const wide = pen.measureText(duration(cycle)).width / 2;
      pen.fillText(duration(cycle), Math.max(left + wide, Math.min(width - wide, x(cycle))), AXIS / 2);
    }
  }

  function drawFrames(ink, muted) {
    let start = 0;
    pen.textAlign = "left";
    for (const frame of data.frames) {
      const [from, to] = [Math.max(left, x(start)), x(start + frame.cycles)];
      start += frame.cycles;
      if (to < left || from > width) continue;
      pen.fillStyle = muted;
      pen.fillRect(from, AXIS, 1.5, height - AXIS);
      pen.fillStyle = ink;
      clipped(`${frame.task}: ${duration(frame.cycles)}`, from + 5, AXIS + FRAMES / 2, Math.min(width, to) - from - 8);
    }
  }

  function clipped(text, at, y, room) {
    if (room < 24) return;
    let shown = text;
    while (shown.length > 1 && pen.measureText(shown).width > room) shown = shown.slice(0, -1);
    if (shown.length > 2 || shown === text) pen.fillText(shown, at, y);
  }

  function drawLane(lane, index, raised) {
    pen.fillStyle = raised;
    pen.fillRect(left, top(index), width - left, LANE);
    for (const [start, length, name, operation, , jobs, share] of lane.blocks) {
      const from = Math.max(left, x(start)), to = Math.min(width, x(start + length));
      if (to < left || from > width || !length) continue;
      const tall = Math.max(2, LANE * share);
      pen.fillStyle = `hsl(${data.operations[operation].hue} 48% ${dark.matches ? 58 : 66}%)`;
      pen.fillRect(from, top(index) + LANE - tall, Math.max(0.6, to - from - (to - from > 4 ? 1 : 0)), tall);
      pen.fillStyle = "#14161a";
      if (tall > 16) clipped(jobs > 1 ? `${number(jobs)} jobs` : data.names[name], from + 4, top(index) + LANE / 2 + 1, to - from - 8);
    }
  }

  function drawMemory(accent, second, ink) {
    const tallest = Math.max(data.usable, ...data.memory.map(([, level]) => level));
    const y = (level) => memoryTop + MEMORY - (level / tallest) * (MEMORY - 14);
    pen.fillStyle = accent;
    data.memory.forEach(([cycle, level], index) => {
      const until = index + 1 < data.memory.length ? data.memory[index + 1][0] : data.cycles;
      const from = Math.max(left, x(cycle)), to = Math.min(width, x(until));
      if (to > from) pen.fillRect(from, y(level), to - from + 0.5, memoryTop + MEMORY - y(level));
    });
    pen.fillStyle = second;
    pen.fillRect(left, y(data.usable), width - left, 1.5);
    pen.textAlign = "right";
    pen.fillText(`the chip has ${bytes(data.usable)}`, width - 4, y(data.usable) - 7);
    const [at, most] = data.memory.reduce((best, each) => (each[1] > best[1] ? each : best));
    pen.fillStyle = ink;
    pen.textAlign = "left";
    if (at >= view.from && at < view.to) pen.fillText(`at most ${bytes(most)}`, x(at), Math.max(memoryTop + 22, y(most) - 8));
  }

  function draw() {
    const ink = colour("--ink"), muted = colour("--muted"), line = colour("--line"), paper = colour("--paper");
    const scale = devicePixelRatio || 1;
    width = canvas.clientWidth;
    left = width < 600 ? 108 : 120;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    drawAxis(muted, line);
    pen.textAlign = "left";
    data.lanes.forEach((lane, index) => drawLane(lane, index, paper));
    drawMemory(colour("--accent"), colour("--second"), ink);
    pen.fillStyle = colour("--raised");
    pen.fillRect(0, 0, left - 1, height);
    drawFrames(ink, muted);
    pen.fillStyle = ink;
    pen.textAlign = "right";
    data.lanes.forEach((lane, index) => clipped(lane.name, left - 8, top(index) + LANE / 2, left - 10));
    clipped("held on chip", left - 8, memoryTop + MEMORY / 2, left - 10);
    if (pointer && pointer.x > left && !drag) {
      pen.fillStyle = muted;
      pen.fillRect(pointer.x, AXIS, 1, height - AXIS);
    }
  }

  function blockAt(place) {
    const lane = data.lanes[Math.floor((place.y - AXIS - FRAMES) / (LANE + GAP))];
    if (!lane || place.x < left) return null;
    const slack = (2 * (view.to - view.from)) / (width - left), cycle = cycleAt(place.x);
    const near = ([start, length]) => Math.max(start - cycle, cycle - start - length, 0);
    const nearest = lane.blocks.reduce((best, block) => (near(block) < near(best) ? block : best));
    return near(nearest) <= slack ? nearest : null;
  }

  function said(place) {
    if (place.y >= memoryTop && place.x > left) {
      const cycle = cycleAt(place.x);
      const [, level] = data.memory.filter(([start]) => start <= cycle).pop() ?? [0, 0];
      return [`${bytes(level)} on chip`, `${number(level)} of ${number(data.usable)} bytes`, `cycle ${number(Math.floor(cycle))}`];
    }
    const block = blockAt(place);
    if (!block) return null;
    const [start, length, name, operation, frame, jobs, share, macs, moved] = block;
    return [
      jobs > 1 ? `${number(jobs)} jobs, the longest: ${data.names[name]}` : data.names[name],
      `${data.operations[operation].name}, ${data.frames[frame].task}`,
      `${number(length)} cycles (${duration(length)}), ${number(start)} to ${number(start + length)}`,
      `${number(Math.round(100 * share))} % of them at the full rate`,
      ...(macs ? [`${number(macs)} MACs`] : []),
      ...(moved ? [`${number(moved)} bytes of DRAM`] : []),
    ];
  }

  function hover(event) {
    const box = canvas.getBoundingClientRect();
    pointer = { x: event.clientX - box.left, y: event.clientY - box.top };
    const lines = drag ? null : said(pointer);
    tip.hidden = !lines;
    if (lines) {
      tip.replaceChildren(...lines.map((text) => Object.assign(document.createElement("div"), { textContent: text })));
      tip.style.left = `${Math.max(0, Math.min(pointer.x + 14, width - tip.offsetWidth))}px`;
      tip.style.top = `${pointer.y + 18}px`;
    }
    draw();
  }

  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, from: view.from, to: view.to };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      const moved = ((drag.x - event.clientX) / (width - left)) * (drag.to - drag.from);
      look(drag.from + moved, drag.to + moved);
    }
    hover(event);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { pointer = null; tip.hidden = true; draw(); });
  canvas.addEventListener("dblclick", () => look(0, data.cycles));
  canvas.addEventListener("wheel", (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!event.ctrlKey && !event.metaKey && !sideways) return;
    event.preventDefault();
    if (sideways) pan(event.deltaX / (width - left));
    else zoom(Math.exp(event.deltaY / 200), event.clientX - canvas.getBoundingClientRect().left);
  }, { passive: false });
  const actions = {
    "+": () => zoom(0.5), "-": () => zoom(2), "0": () => look(0, data.cycles),
    ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2),
  };
  canvas.addEventListener("keydown", (event) => {
    if (!actions[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    actions[event.key]();
  });
  for (const button of document.querySelectorAll("button[data-key]")) {
    button.addEventListener("click", actions[button.dataset.key]);
  }
  canvas.style.height = `${height}px`;
  dark.addEventListener("change", draw);
  new ResizeObserver(draw).observe(canvas);
  draw();
})();
