// The K largest of E logits, best first; of equal logits the one of the lowest index wins.
//
// One logit a cycle, in the order of the experts: E cycles a token, and the next token may follow at once. A list of the
// K best so far is kept in order; a logit goes before the first entry that it beats, by a strict ">", and the entries
// behind move down. `filled` says which entries hold anything, so that no value of a logit is special.
// `in_last` comes with the last logit of a frame and leaves as `out_last` with the choice of that token.
module top_k #(
    parameter E = 16,
    parameter K = 2,
    parameter W = 16,
    parameter EXPERT_BITS = $clog2(E)  // follows from E
) (
    input  wire                     clk,
    input  wire                     reset,
    input  wire                     in_valid,
    output wire                     in_ready,
    input  wire signed [W-1:0]      in_logit,
    input  wire                     in_last,
    output reg                      out_valid,
    input  wire                     out_ready,
    output reg  [K*EXPERT_BITS-1:0] out_experts,
    output reg                      out_last
);
    localparam integer LAST = E - 1;
    localparam [EXPERT_BITS-1:0] LAST_EXPERT = LAST[EXPERT_BITS-1:0];

    reg [EXPERT_BITS-1:0]   expert;  // whose logit comes next
    reg [K-1:0]             filled;
    reg [K*W-1:0]           scores;
    reg [K*EXPERT_BITS-1:0] experts;

    wire [K-1:0]             beats;  // beats[j]: the logit is above entry j, and so above all behind it
    wire [K-1:0]             moves = beats << 1;  // moves[j]: entry j - 1 comes here
    wire [K*W-1:0]           moved_scores = scores << W;
    wire [K*EXPERT_BITS-1:0] moved_experts = experts << EXPERT_BITS;
    wire [K*W-1:0]           next_scores;
    wire [K*EXPERT_BITS-1:0] next_experts;

    genvar j;
    generate
        for (j = 0; j < K; j = j + 1) begin : entry
            assign beats[j] = !filled[j] || in_logit > $signed(scores[j*W +: W]);
            assign next_scores[j*W +: W] =
                moves[j] ? moved_scores[j*W +: W] : beats[j] ? in_logit : scores[j*W +: W];
            assign next_experts[j*EXPERT_BITS +: EXPERT_BITS] =
                moves[j] ? moved_experts[j*EXPERT_BITS +: EXPERT_BITS]
                : beats[j] ? expert : experts[j*EXPERT_BITS +: EXPERT_BITS];
        end
    endgenerate

    wire complete = expert == LAST_EXPERT;
    assign in_ready = !complete || !out_valid || out_ready;

    always @(posedge clk) begin
        if (reset) begin
            expert    <= 0;
            filled    <= 0;
            out_valid <= 0;
        end else begin
            if (out_ready) out_valid <= 0;
            if (in_valid && in_ready) begin
                expert  <= complete ? 0 : expert + 1;
                filled  <= complete ? 0 : ~(~filled << 1);
                scores  <= next_scores;
                experts <= next_experts;
                if (complete) begin
                    out_valid   <= 1;
                    out_experts <= next_experts;
                    out_last    <= in_last;
                end
            end
        end
    end
endmodule
