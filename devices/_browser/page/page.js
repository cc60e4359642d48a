// Does the job that the server names on the model that it serves, and posts what came out.

const CLOCK_STEPS = 100; // a sample lasts at least so many steps of the clock, so that a step is 1 % of it
const WARM_MS = 2000; // V8 compiles a WASM function again once it has run for a while: runs get 2 to 3 times faster, then stay
const BLOCK_MS = 500;
const LONGEST_WARM_MS = 10000;
const STEADY = 0.97; // a block is no faster than those before it when its quickest run takes more than this share of theirs

async function main() {
    const job = await (await fetch("job.json")).json();
    let stage = "opening";
    try {
        if (job.threads > 1 && !crossOriginIsolated) {
            throw new Error("threads need a page that is isolated: SharedArrayBuffer is not there");
        }
        const started = performance.now();
        const runtime = await import(`./${job.runtime}.js`);
        const model = await runtime.open("model", job.threads, job.do === "operators");
        const initMs = performance.now() - started;
        stage = "running";
        await post({ ...(await JOBS[job.do](model, job)), initMs, userAgent: navigator.userAgent });
    } catch (error) {
        await post({ error: String(error?.message ?? error), stage });
    }
}

// Each of these takes an open model ({inputs: [typed array], run(inputs) → outputs}) and the job.
const JOBS = {
    async time(model, job) {
        const stepMs = clockStepMs();
        const quickestMs = job.warmup > 0 ? await warmed(model, job.warmup) : Infinity;
        const runsPerSample = Math.ceil(Math.max(1, (CLOCK_STEPS * stepMs) / Math.max(quickestMs, stepMs)));
        const samplesMs = [];
        for (let sample = 0; sample < job.runs; sample++) {
            samplesMs.push(await meanMs(model, runsPerSample));
        }
        return { samplesMs, runsPerSample, stepMs };
    },

    async outputs(model, job) {
        const inputs = model.inputs.map((zeros, place) => decode(job.inputs[place], zeros.constructor));
        return { outputs: (await model.run(inputs)).map(encode) };
    },

    async operators(model, job) {
        for (let run = 0; run < job.warmup + job.runs; run++) {
            await model.run(model.inputs);
        }
        return { profile: await model.profile() };
    },
};

// Runs at least so often and so long, then until a block of runs is no faster than those before. The quickest run in ms.
async function warmed(model, runs) {
    const started = performance.now();
    let quickestMs = await quickest(model, runs, WARM_MS);
    while (performance.now() - started < LONGEST_WARM_MS) {
        const blockMs = await quickest(model, 1, BLOCK_MS);
        const steady = blockMs > STEADY * quickestMs;
        quickestMs = Math.min(quickestMs, blockMs);
        if (steady) {
            break;
        }
    }
    return quickestMs;
}

// The quickest of at least so many runs, over at least so many ms.
async function quickest(model, runs, spanMs) {
    const started = performance.now();
    let smallestMs = Infinity;
    for (let run = 0; run < runs || performance.now() - started < spanMs; run++) {
        smallestMs = Math.min(smallestMs, await meanMs(model, 1));
    }
    return smallestMs;
}

// The mean of so many runs in ms, from the arrays that go in to the arrays that come out.
async function meanMs(model, runs) {
    const started = performance.now();
    for (let run = 0; run < runs; run++) {
        await model.run(model.inputs);
    }
    return (performance.now() - started) / runs;
}

// Browsers make their clock coarse: the smallest step that it is seen to take, in ms.
function clockStepMs() {
    let smallest = Infinity;
    for (let step = 0; step < 20; step++) {
        const before = performance.now();
        let after = before;
        while (after === before) {
            after = performance.now();
        }
        smallest = Math.min(smallest, after - before);
    }
    return smallest;
}

function decode(base64, kind) {
    return new kind(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer);
}

function encode(values) {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

async function post(result) {
    await fetch("result", { method: "POST", body: JSON.stringify(result) });
}

await main();
