// onnxruntime-web as page.js wants a runtime: its WASM build on the page's own thread and, for more than one, on workers.

import * as ort from "onnxruntime-web";

const ARRAYS = {
    bool: Uint8Array, float16: globalThis.Float16Array ?? Uint16Array, float32: Float32Array, float64: Float64Array, int8: Int8Array, int16: Int16Array,
    int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
};

export async function open(url, threads, profiled) {
    const printed = profiled ? overheard() : [];
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = new URL("./runtimes/onnxruntime-web/dist/", import.meta.url).href;
    const session = await ort.InferenceSession.create(url, { executionProviders: ["wasm"], enableProfiling: profiled });
    const details = session.inputMetadata.map(({ name, type, shape }) => {
        return { name, type, shape: shape.map((side) => (typeof side === "number" && side > 0 ? side : 1)) }; // a free side is 1
    });
    const inputs = details.map(({ type, shape }) => new ARRAYS[type](shape.reduce((size, side) => size * side, 1)));

    async function run(arrays) {
        const feeds = details.map(({ name, type, shape }, place) => [name, new ort.Tensor(type, arrays[place], shape)]);
        const results = await session.run(Object.fromEntries(feeds));
        return session.outputNames.map((name) => results[name].data);
    }

    function profile() {
        session.endProfiling();
        return printed.join("\n");
    }

    return { inputs, run, profile };
}

// The runtime prints its profile with the console.log that it finds when it starts, and tells it in no other way.
function overheard() {
    const lines = [];
    console.log = (...words) => lines.push(words.join(" "));
    return lines;
}
