"""From alarms to notices that leave the house: which are sent, how often, what they say."""
