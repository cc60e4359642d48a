// The tokens of a frame, grouped by expert and in token order within each group, by a counting sort.
//
// Tokens come in order, each with its K distinct experts, one token a cycle; the frame ends with `in_last` or with token
// N - 1. Then E cycles turn counts into starts, and one cycle for each of the tokens·K choices puts it in its place:
// `sorted` rises E + tokens·K + 1 cycles after the last token was taken. While it is up, and no token is taken,
//   queue e is entries bound(e) to bound(e + 1) - 1, and `bound` follows `bound_index` (0 to E) in the same cycle;
//   `entry_token` and `entry_rank` follow `entry_index` a cycle later; the rank is the place of the expert among the K.
// `release_queues` ends that and makes room for the next frame.
module expert_queues #(
    parameter E = 16,
    parameter K = 2,
    parameter N = 129,
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
    input  wire [K*EXPERT_BITS-1:0] in_experts,
    input  wire                     in_last,
    output wire                     sorted,
    input  wire                     release_queues,
    input  wire [INDEX_BITS-1:0]    bound_index,
    output wire [BOUND_BITS-1:0]    bound,
    input  wire [ENTRY_BITS-1:0]    entry_index,
    output reg  [TOKEN_BITS-1:0]    entry_token,
    output reg  [RANK_BITS-1:0]     entry_rank
);
    localparam [1:0] COUNT = 0, SUM = 1, PLACE = 2, SORTED = 3;
    localparam integer LAST_OF_N = N - 1, LAST_OF_E = E - 1, LAST_OF_K = K - 1;
    localparam [TOKEN_BITS-1:0] LAST_TOKEN = LAST_OF_N[TOKEN_BITS-1:0];
    localparam [EXPERT_BITS-1:0] LAST_EXPERT = LAST_OF_E[EXPERT_BITS-1:0];
    localparam [RANK_BITS-1:0] LAST_RANK = LAST_OF_K[RANK_BITS-1:0];

    reg [1:0]             state;
    reg [TOKEN_BITS-1:0]  token;  // the one that comes, then the one that is placed
    reg [TOKEN_BITS-1:0]  last_token;
    reg [EXPERT_BITS-1:0] expert;
    reg [RANK_BITS-1:0]   rank;
    reg [BOUND_BITS-1:0]  total;

    // Of each expert: its tokens so far, then where its queue starts, at last where it ends.
    reg [E*BOUND_BITS-1:0] cursors;

    reg [K*EXPERT_BITS-1:0]        choices [0:N-1];
    reg [K*EXPERT_BITS-1:0]        choice;
    reg [TOKEN_BITS+RANK_BITS-1:0] entries [0:N*K-1];

    wire [(E+1)*BOUND_BITS-1:0] bounds = {cursors, {BOUND_BITS{1'b0}}};  // queue e ends where e + 1 starts

    wire take = in_valid && in_ready;
    wire place = state == PLACE;
    wire next_token = place && rank == LAST_RANK;
    wire [EXPERT_BITS-1:0] chosen = choice[rank*EXPERT_BITS +: EXPERT_BITS];
    wire [ENTRY_BITS-1:0]  position = cursors[chosen*BOUND_BITS +: ENTRY_BITS];

    assign in_ready = state == COUNT;
    assign sorted = state == SORTED;
    assign bound = bounds[bound_index*BOUND_BITS +: BOUND_BITS];

    always @(posedge clk) begin
        if (take) choices[token] <= in_experts;
        choice <= choices[next_token ? token + 1 : token];
        if (place) entries[position] <= {token, rank};
        {entry_token, entry_rank} <= entries[entry_index];
    end

    genvar e, j;
    generate
        for (e = 0; e < E; e = e + 1) begin : cursor
            wire [K-1:0] hits;
            for (j = 0; j < K; j = j + 1) begin : choice_of_token
                assign hits[j] = in_experts[j*EXPERT_BITS +: EXPERT_BITS] == e;
            end
            always @(posedge clk) begin
                if (reset || (sorted && release_queues)) cursors[e*BOUND_BITS +: BOUND_BITS] <= 0;
                else if (state == SUM && expert == e) cursors[e*BOUND_BITS +: BOUND_BITS] <= total;
                else if ((take && |hits) || (place && chosen == e))
                    cursors[e*BOUND_BITS +: BOUND_BITS] <= cursors[e*BOUND_BITS +: BOUND_BITS] + 1;
            end
        end
    endgenerate

    always @(posedge clk) begin
        if (reset) begin
            state <= COUNT;
            token <= 0;
        end else case (state)
            COUNT: if (take) begin
                last_token <= token;
                token      <= token + 1;
                if (in_last || token == LAST_TOKEN) begin
                    state  <= SUM;
                    token  <= 0;
                    expert <= 0;
                    rank   <= 0;
                    total  <= 0;
                end
            end
            SUM: begin
                total  <= total + cursors[expert*BOUND_BITS +: BOUND_BITS];
                expert <= expert + 1;
                if (expert == LAST_EXPERT) state <= PLACE;
            end
            PLACE: begin
                rank <= next_token ? 0 : rank + 1;
                if (next_token) token <= token + 1;
                if (next_token && token == last_token) state <= SORTED;
            end
            SORTED: if (release_queues) begin
                state <= COUNT;
                token <= 0;
            end
        endcase
    end
endmodule
