"""An event-driven model of an FPGA that runs a mixture-of-experts transformer: (workload, chip, policy) to a timeline."""
