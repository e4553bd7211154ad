"""Defines the policies that propose networks, and trains them with PPO."""
