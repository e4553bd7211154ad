"""Controller, PPO, reward, accuracy sources, run control."""
