// The router of a mixture-of-experts layer behind its gate: logits in, a queue of tokens for each expert out.
//
// E logits of W bits (signed) a token, in the order of the experts; 2 ≤ E, 1 ≤ K ≤ E, 2 ≤ N tokens at most. Valid and
// ready as in AXI-Stream: a logit passes in a cycle in which both are up; `in_last` marks the last logit of a frame.
// The choice of each token shows for one cycle (`choice_valid`), best expert first in the lowest bits. See
// expert_queues.v for the queues. With no stall, a frame of n tokens takes E·n cycles, and its queues stand
// E + n·K + 2 cycles after the cycle of its last logit. `reset` is synchronous and drops what is under way.
module router #(
    parameter E = 16,
    parameter K = 2,
    parameter N = 129,
    parameter W = 16,
    parameter EXPERT_BITS = $clog2(E),  // these follow from E, K and N
    parameter BOUND_BITS = $clog2(N * K + 1),
    parameter ENTRY_BITS = $clog2(N * K),
    parameter INDEX_BITS = $clog2(E + 1),
    parameter TOKEN_BITS = $clog2(N),
    parameter RANK_BITS = K > 1 ? $clog2(K) : 1
) (
    input  wire                     clk,
    input  wire                     reset,
    input  wire                     in_valid,
    output wire                     in_ready,
    input  wire signed [W-1:0]      in_logit,
    input  wire                     in_last,
    output wire                     choice_valid,
    output wire [K*EXPERT_BITS-1:0] choice_experts,
    output wire                     sorted,
    input  wire                     release_queues,
    input  wire [INDEX_BITS-1:0]    bound_index,
    output wire [BOUND_BITS-1:0]    bound,
    input  wire [ENTRY_BITS-1:0]    entry_index,
    output wire [TOKEN_BITS-1:0]    entry_token,
    output wire [RANK_BITS-1:0]     entry_rank
);
    wire offered, taken, last;

    assign choice_valid = offered && taken;

    top_k #(.E(E), .K(K), .W(W)) choose (
        .clk(clk), .reset(reset),
        .in_valid(in_valid), .in_ready(in_ready), .in_logit(in_logit), .in_last(in_last),
        .out_valid(offered), .out_ready(taken), .out_experts(choice_experts), .out_last(last)
    );

    expert_queues #(.E(E), .K(K), .N(N)) queues (
        .clk(clk), .reset(reset),
        .in_valid(offered), .in_ready(taken), .in_experts(choice_experts), .in_last(last),
        .sorted(sorted), .release_queues(release_queues),
        .bound_index(bound_index), .bound(bound),
        .entry_index(entry_index), .entry_token(entry_token), .entry_rank(entry_rank)
    );
endmodule
