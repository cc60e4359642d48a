// LiteRT.js as page.js wants a runtime. Its CPU path computes on the page's own thread, with helpers when threads are asked for.

import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

export async function open(url, threads) {
    await loadLiteRt(new URL("./runtimes/@litertjs/core/wasm/", import.meta.url).href, { threads: threads > 1 });
    const model = await loadAndCompile(url, { accelerator: "wasm", cpuOptions: { numThreads: threads } });
    const details = model.getInputDetails();
    const shapes = details.map((input) => Array.from(input.shape));
    const inputs = details.map(
        (input) => new ARRAYS[input.dtype](input.shape.reduce((size, side) => size * side, 1)),
    );

    async function run(arrays) {
        const tensors = arrays.map((array, place) => new Tensor(array, shapes[place]));
        const results = await model.run(tensors);
        const outputs = await Promise.all(results.map((result) => result.data()));
        [...tensors, ...results].forEach((tensor) => tensor.delete()); // nothing else frees them
        return outputs;
    }

    return { inputs, run };
}
