"""What is planned before anything is bought: the study to be, its problems, its calls and cost."""
