"""Dense prediction: pictures with a map per task, their losses and metrics, and the training of a multi-task network."""
