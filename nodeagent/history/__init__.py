"""What figures were: sampled each second, kept on this node, told to whoever asks any node."""
